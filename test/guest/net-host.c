/* Talks to the host: `client TCP UDP` to servers there, `server PORT` to whoever comes from there. Run by net-host.test.ts. */
#include "saw.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct sockaddr_in at(const char *port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
static char b[100000];

static void client(const char *tcp, const char *udp) {
  struct sockaddr_in a = at(tcp), u = at(udp), x;
  socklen_t l = sizeof x;
  int s = socket(AF_INET, SOCK_STREAM, 0), error = -1;
  CALL(connect(s, (void *)&a, sizeof a));
  getpeername(s, (void *)&x, &l);
  saw("peer %d", x.sin_port == a.sin_port);
  char *big = calloc(1, 1000000);
  saw("sent %d", (int)send(s, big, 1000000, 0));
  shutdown(s, SHUT_WR);
  int n = recv(s, b, 100, 0);
  saw("answer %.*s", n, b);
  saw("end %d", (int)recv(s, b, 100, 0));
  close(s);
  s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CALL(connect(s, (void *)&a, sizeof a));
  struct pollfd p = {s, POLLOUT, 0};
  saw("poll %d", poll(&p, 1, -1));
  l = 4;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &l);
  saw("error %d", error);
  close(s);
  a.sin_port = htons(1);
  s = socket(AF_INET, SOCK_STREAM, 0);
  CALL(connect(s, (void *)&a, sizeof a));
  int d = socket(AF_INET, SOCK_DGRAM, 0);
  CALL(sendto(d, "hey", 3, 0, (void *)&u, sizeof u));
  l = sizeof x;
  n = recvfrom(d, b, 100, 0, (void *)&x, &l);
  saw("%.*s from it %d", n, b, x.sin_port == u.sin_port);
  d = socket(AF_INET, SOCK_DGRAM, 0);
  CALL(connect(d, (void *)&u, sizeof u));
  send(d, "you", 3, 0);
  n = recv(d, b, 100, 0);
  saw("%.*s", n, b);
}

static void server(const char *port) {
  struct sockaddr_in a = at(port), x;
  socklen_t l = sizeof x;
  int n, total = 0, s = socket(AF_INET, SOCK_STREAM, 0), d = socket(AF_INET, SOCK_DGRAM, 0);
  CALL(bind(s, (void *)&a, sizeof a));
  CALL(listen(s, 5));
  CALL(bind(d, (void *)&a, sizeof a));
  int f = accept(s, (void *)&x, &l);
  saw("from %x", ntohl(x.sin_addr.s_addr));
  while ((n = read(f, b, sizeof b)) > 0) total += n;
  saw("total %d", total);
  write(f, "bye", 3);
  close(f);
  l = sizeof x;
  n = recvfrom(d, b, 100, 0, (void *)&x, &l);
  saw("udp %.*s", n, b);
  sendto(d, "pong", 4, 0, (void *)&x, l);
}

int main(int count, char **arguments) {
  if (count == 4) client(arguments[2], arguments[3]);
  else server(arguments[2]);
  return 0;
}
