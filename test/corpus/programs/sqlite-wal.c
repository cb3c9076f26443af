/*
 * SQLite's write-ahead log and memory-mapped database as programs use them: two connections, the index of the log in shared memory
 * (MAP_SHARED, grown by ftruncate), the database read through a mapping that is made again as the file grows and shrinks.
 * Prints what the bare CPU prints: counts and sums, the size of the log, and what the integrity check says.
 *     sqlite-wal DATABASE ROWS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "sqlite3.h"

static sqlite3 *open_database(const char *path)
{
	sqlite3 *db;
	if (sqlite3_open(path, &db) != SQLITE_OK) {
		printf("open: %s\n", sqlite3_errmsg(db));
		exit(2);
	}
	sqlite3_busy_timeout(db, 1000);
	return db;
}

/* runs the statements and prints every row, with a name before it */
static void run(sqlite3 *db, const char *name, const char *sql)
{
	sqlite3_stmt *statement;
	const char *rest = sql;
	int step = SQLITE_DONE;
	while (*rest && sqlite3_prepare_v2(db, rest, -1, &statement, &rest) == SQLITE_OK && statement) {
		while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
			printf("%s:", name);
			for (int column = 0; column < sqlite3_column_count(statement); column++)
				printf(" %s", (const char *)sqlite3_column_text(statement, column));
			printf("\n");
		}
		sqlite3_finalize(statement);
	}
	if (step != SQLITE_DONE)
		printf("%s: %s\n", name, sqlite3_errmsg(db));
}

static void insert(sqlite3 *db, int from, int to)
{
	static char text[9000];
	sqlite3_stmt *statement;
	run(db, "begin", "begin immediate");
	sqlite3_prepare_v2(db, "insert into t values(?, ?, ?)", -1, &statement, NULL);
	for (int n = from; n < to; n++) {
		/* some rows reach over several pages */
		int length = n % 97 == 0 ? 8000 + n % 900 : 20 + n % 300;
		memset(text, 'a' + n % 26, length);
		sqlite3_bind_int(statement, 1, n);
		sqlite3_bind_text(statement, 2, text, length, SQLITE_STATIC);
		sqlite3_bind_double(statement, 3, n / 7.0);
		if (sqlite3_step(statement) != SQLITE_DONE)
			printf("insert %d: %s\n", n, sqlite3_errmsg(db));
		sqlite3_reset(statement);
	}
	sqlite3_finalize(statement);
	run(db, "commit", "commit");
}

static void say_size(const char *path, const char *suffix)
{
	char name[500];
	struct stat status;
	snprintf(name, sizeof name, "%s%s", path, suffix);
	if (stat(name, &status) == 0)
		printf("size of %s: %lld\n", *suffix ? suffix : "database", (long long)status.st_size);
	else
		printf("size of %s: none\n", suffix);
}

#define TOTALS "select count(*), sum(length(b)), round(sum(c), 3) from t"

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "wal.db";
	int rows = argc > 2 ? atoi(argv[2]) : 2000;
	sqlite3 *writer = open_database(path), *reader = open_database(path);

	run(writer, "journal", "pragma journal_mode=wal");
	run(writer, "mmap", "pragma mmap_size=67108864; pragma wal_autocheckpoint=0; pragma cache_size=20");
	run(reader, "mmap", "pragma mmap_size=67108864; pragma cache_size=20");
	run(writer, "schema", "create table t(a integer primary key, b text, c real); create index tc on t(c)");
	for (int n = 0; n < rows; n += rows / 4)
		insert(writer, n, n + rows / 4);
	run(reader, "read", TOTALS);
	say_size(path, "-wal");

	/* a reader's snapshot stays while the other writes and the log cannot be reset */
	run(reader, "snapshot", "begin; " TOTALS);
	run(writer, "update", "update t set b = b || b where a % 3 = 0; delete from t where a % 5 = 0");
	run(reader, "snapshot", TOTALS);
	run(writer, "checkpoint", "pragma wal_checkpoint(passive)");
	run(reader, "after", "commit; " TOTALS);
	run(writer, "checkpoint", "pragma wal_checkpoint(truncate)");
	say_size(path, "-wal");
	say_size(path, "");

	/* the mapping of the other connection follows the file as it grows and shrinks */
	run(writer, "grow", "insert into t select a + 1000000, b, c from t where a % 2 = 0; pragma wal_checkpoint(truncate)");
	run(reader, "grown", TOTALS);
	run(writer, "shrink", "delete from t where a >= 1000; vacuum; pragma wal_checkpoint(truncate)");
	say_size(path, "");
	run(reader, "shrunk", TOTALS);
	run(reader, "order", "select a, length(b) from t order by c desc limit 3");
	run(writer, "integrity", "pragma integrity_check");
	sqlite3_close(reader);
	run(writer, "journal", "pragma journal_mode=delete");
	say_size(path, "-wal");
	say_size(path, "-shm");
	run(writer, "integrity", "pragma quick_check; " TOTALS);
	return sqlite3_close(writer);
}
