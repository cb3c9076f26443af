#!/bin/bash
# mkrootfs.sh DIR [mini|core|full]
# Makes an i386 Debian rootfs at DIR for the corpus. Everything comes by package name through apt, set up as
# this machine has it, with a state of its own (the system's packages and architectures are left alone).
# Idempotent: a stage that is done is skipped; name stages in STAGES to redo only those
# (STAGES="apt extract setup tools data qemu valgrind klibc bash busybox tcl gawk sqlite zlib lua pcre gmp static go rust").
# Versions are recorded in DIR/opt/corpus/versions.tsv. Downloads and sources lie in DIR.cache, the peer in DIR.tools.
# Needs: root, a Debian with apt, python3, a kernel that runs i386 programs; Go and Rust tests where go, cargo exist.
# mini: what the project's own tests run; a minute or two, 50 MB; its compiled programs are made by this machine's gcc -m32 (and make, tclsh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,10p' "$0" >&2; exit 2; }
mkdir -p "$1"
root=$(cd "$1" && pwd) tier=${2:-full} cache=$(cd "$1" && pwd).cache tools=$(cd "$1" && pwd).tools
corpus=$root/opt/corpus stamps=$cache/stamps
mkdir -p "$cache" "$tools" "$corpus" "$stamps"
log=$cache/log.txt
RUST_CRATES=${RUST_CRATES:-"hexyl@0.16.0 ripgrep@14.1.1"}
say() { echo "mkrootfs: $*" >&2; }
todo() { # todo STAGE KEY: true where the stage has not been done with this key
  if [ -n "${STAGES:-}" ]; then case " $STAGES " in *" $1 "*) ;; *) return 1 ;; esac
  elif [ "$(cat "$stamps/$1" 2>/dev/null)" = "$2" ]; then return 1; fi
  say "$1"
}
did() { echo "$2" >"$stamps/$1"; }
guest() { # runs a command natively in the rootfs, which it may write to; /tmp is fresh
  python3 "$here/run.py" --root "$root" --rw --exec native --timeout 1800 -- /bin/bash -c "$1" >>"$log" 2>&1 </dev/null || say "a build step ended badly, see $log"
}
guest_out() { python3 "$here/run.py" --root "$root" --rw --exec native --timeout 600 -- /bin/bash -c "$1" </dev/null; }
apt_conf() { # apt_conf NAME ARCH TYPES: a private apt state
  local s=$cache/$1
  mkdir -p "$s/lists/partial" "$s/archives/partial" "$s/parts"
  : >>"$s/status"
  for f in /etc/apt/sources.list.d/*.sources; do
    [ -e "$f" ] && sed "s/^Types:.*/Types: $3/; /^Architectures:/d" "$f" >"$s/parts/$(basename "$f")"
  done
  if [ -e /etc/apt/sources.list ]; then sed -n "s/^deb /$3 /p" /etc/apt/sources.list >"$s/parts/main.list"; fi
  cat >"$s.conf" <<END
APT::Architecture "$2";
APT::Architectures { "$2"; };
Dir::State "$s";
Dir::State::status "$s/status";
Dir::State::lists "$s/lists";
Dir::Cache "$s";
Dir::Cache::archives "$s/archives";
Dir::Etc::sourceparts "$s/parts";
Dir::Etc::sourcelist "/dev/null";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Retries "3";
END
}
packages() { awk -F'\t' -v t="$tier" '!/^#/ && ($1 == "mini" || t != "mini" && $1 == "core" || t == "full") {print $2}' "$here/packages.txt"; }
key="$tier $(packages | cksum | cut -d' ' -f1)"

if todo apt "$key"; then
  apt_conf deb i386 deb
  export APT_CONFIG=$cache/deb.conf
  # one suite of a mirror may be out of step with itself: what the others list is used
  apt-get update >>"$log" 2>&1 || say "apt-get update was not complete; going on with the lists that came"
  plan() { apt-get -s install "$@" 2>/dev/null | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) [^[]*\[\([a-z0-9]*\)\]).*/\1\t\2\t\3/p'; }
  left=() main=($(packages))
  if ! apt-get -s -qq install "${main[@]}" >/dev/null 2>&1; then
    # some are not to be had, or exclude each other: those that the one resolver run refuses are resolved alone
    all=("${main[@]}") main=()
    for p in "${all[@]}"; do
      if apt-get -s -qq install "${main[@]}" "$p" >/dev/null 2>&1; then main+=("$p")
      elif apt-get -s -qq install "$p" >/dev/null 2>&1; then left+=("$p")
      else say "not to be had: $p"; fi
    done
  fi
  { plan "${main[@]}"; for p in "${left[@]}"; do plan "$p"; done; } | sort -u >"$cache/plan.tsv"
  apt-get -y --download-only install "${main[@]}" >>"$log" 2>&1 || say "not every package came, see $log"
  for p in "${left[@]}"; do apt-get -y --download-only install "$p" >>"$log" 2>&1 || say "did not come: $p"; done
  unset APT_CONFIG
  did apt "$key"
fi

if todo extract "$key"; then
  mkdir -p "$root"/usr/{bin,sbin,lib}
  for d in bin sbin lib; do [ -e "$root/$d" ] || ln -s "usr/$d" "$root/$d"; done
  while IFS=$'\t' read -r name version arch; do
    f=$cache/deb/archives/${name%%:*}_${version//:/%3a}_$arch.deb
    [ -e "$f" ] || { say "no package file: $name"; continue; }
    dpkg-deb --fsys-tarfile "$f" | tar -x -p --numeric-owner --keep-directory-symlink -C "$root" 2>>"$log"
  done <"$cache/plan.tsv"
  { cat "$cache/plan.tsv"; grep -E '(source|host)$' "$corpus/versions.tsv" 2>/dev/null || true; } >"$cache/versions.tsv"
  cp "$cache/versions.tsv" "$corpus/versions.tsv"
  did extract "$key"
fi

if todo setup "$key"; then
  mkdir -p "$root"/{proc,sys,dev,tmp,run,var/tmp,root,usr/local/bin} "$root/var/run" "$root/var/lib/corpus"
  [ -e "$root/etc/passwd" ] || cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
  [ -e "$root/etc/group" ] || cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
  grep -q ^tester: "$root/etc/passwd" || echo 'tester:x:1000:1000:tester:/tmp/home:/bin/bash' >>"$root/etc/passwd"
  grep -q ^tester: "$root/etc/group" || echo 'tester:x:1000:' >>"$root/etc/group"
  printf '127.0.0.1 localhost corpus\n::1 localhost\n' >"$root/etc/hosts"
  echo corpus >"$root/etc/hostname"
  printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n' >"$root/etc/nsswitch.conf"
  : >"$root/etc/resolv.conf"
  : >"$root/etc/fstab"
  ln -sfn /proc/mounts "$root/etc/mtab"
  ln -sfn /usr/share/zoneinfo/UTC "$root/etc/localtime"
  alt() { if [ -e "$root$2" ] && { [ -L "$root$1" ] || [ ! -e "$root$1" ]; }; then ln -sfn "$2" "$root$1"; fi; }
  # the maintainer scripts are not run: the links that they would make, as far as the cases need them
  alt /usr/bin/awk /usr/bin/gawk; alt /usr/bin/cc /usr/bin/gcc; alt /usr/bin/c++ /usr/bin/g++
  alt /usr/bin/lua /usr/bin/lua5.4; alt /usr/bin/luac /usr/bin/luac5.4; alt /usr/bin/tclsh /usr/bin/tclsh8.6
  alt /usr/bin/guile /usr/bin/guile-3.0; alt /usr/bin/java /usr/lib/jvm/java-17-openjdk-i386/bin/java
  alt /usr/bin/javac /usr/lib/jvm/java-17-openjdk-i386/bin/javac; alt /usr/bin/php /usr/bin/php8.2
  alt /usr/bin/ppc386 /usr/bin/ppc386-3.2.2; alt /usr/bin/diet /usr/lib/i386-linux-gnu/diet/bin/diet; alt /usr/bin/gprolog /usr/lib/gprolog/bin/gprolog; alt /usr/bin/lex /usr/bin/flex; alt /usr/bin/yacc /usr/bin/bison
  alt /usr/bin/gfortran /usr/bin/gfortran-12; alt /usr/bin/gdc /usr/bin/gdc-12; alt /usr/bin/vim /usr/bin/vim.nox
  alt /usr/bin/ex /usr/bin/vim.nox; alt /usr/bin/ksh /usr/bin/ksh93; alt /usr/bin/lzip /usr/bin/lzip.lzip; alt /usr/bin/fakeroot /usr/bin/fakeroot-sysv
  alt /usr/bin/faked /usr/bin/faked-sysv; alt /usr/bin/figlet /usr/bin/figlet-figlet; alt /usr/bin/nc /bin/nc.openbsd
  alt /etc/java-17-openjdk /usr/lib/jvm/java-17-openjdk-i386/conf
  for n in libblas.so.3 liblapack.so.3; do
    for d in blas lapack; do
      [ -e "$root/usr/lib/i386-linux-gnu/$d/$n" ] && ln -sfn "$d/$n" "$root/usr/lib/i386-linux-gnu/$n"
    done
  done
  guest 'ldconfig; command -v git >/dev/null || exit 0; git config --system user.name tester; git config --system user.email tester@example.org; git config --system safe.directory "*"; git config --system init.defaultBranch main'
  did setup "$key"
fi

if [ $tier != mini ] && todo tools 1; then # the peer: a static qemu-i386 of this machine's own architecture
  (cd "$cache" && rm -f qemu-user-static_*.deb && apt-get download qemu-user-static >>"$log" 2>&1 && dpkg-deb -x qemu-user-static_*.deb "$tools" &&
    dpkg-deb -f qemu-user-static_*.deb Package Version Architecture | awk '{printf "%s%s", s, $2; s = "\t"} END {print ""}' >"$corpus/peer.tsv") || say "no qemu-user-static"
  did tools 1
fi

if todo data 1; then # generated input files, the same everywhere
  mkdir -p "$corpus/data"
  python3 - "$corpus/data" <<'END'
import sys
d = sys.argv[1]
x = 12345
def r(n):
    global x
    x = (x * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
    return (x >> 33) % n
syl = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu za ze".split()
words = ["".join(syl[r(46)] for _ in range(1 + r(4))) for _ in range(5000)]
with open(d + "/text.txt", "w") as f:
    for n in range(60000):
        f.write(" ".join(words[min(r(5000), r(5000), r(5000))] for _ in range(4 + r(10))) + ("." if r(3) else "!") + "\n")
with open(d + "/nums.txt", "w") as f:
    for n in range(1000000):
        f.write("%d\n" % r(1 << 31))
with open(d + "/table.csv", "w") as f:
    f.write("id,name,group,qty,price\n")
    for n in range(50000):
        f.write("%d,%s,%s,%d,%d.%02d\n" % (n, words[r(5000)], syl[r(46)], r(1000), r(500), r(100)))
with open(d + "/random.bin", "wb") as f:
    f.write(b"".join(r(1 << 31).to_bytes(4, "little") for _ in range(1 << 20)))
with open(d + "/tree.json", "w") as f:
    import json
    json.dump([{"id": n, "name": words[r(5000)], "tags": [syl[r(46)] for _ in range(r(5))], "v": {"x": r(1000), "y": r(1000) / 8}} for n in range(8000)], f)
with open(d + "/tone.raw", "wb") as f:
    a, b = 0, 9000
    for n in range(441000):
        a, b = a - b * 5 // 100 , b + (a - b * 5 // 100) * 5 // 100
        f.write(max(-32000, min(32000, a + r(200) - 100)).to_bytes(2, "little", signed=True))
END
  did data 1
fi

# ---- sources of test suites that others wrote, by source package name
src=$cache/src
fetch_src() { # fetch_src PACKAGE: its upstream tarball's path
  mkdir -p "$src"
  if [ ! -e "$src/.updated" ]; then
    apt_conf srcs "$(dpkg --print-architecture)" deb-src
    APT_CONFIG=$cache/srcs.conf apt-get update >>"$log" 2>&1 || true
    touch "$src/.updated"
  fi
  if ! ls "$src/$1".done >/dev/null 2>&1; then
    (cd "$src" && mkdir -p "get-$1" && cd "get-$1" && APT_CONFIG=$cache/srcs.conf apt-get source --download-only --tar-only "$1" >>"$log" 2>&1) || return 1
    touch "$src/$1.done"
    printf 'src:%s\t%s\tsource\n' "$1" "$(APT_CONFIG=$cache/srcs.conf apt-cache showsrc "$1" 2>/dev/null | sed -n 's/^Version: //p' | tail -1)" >>"$corpus/versions.tsv"
  fi
  ls "$src/get-$1/"*.orig.tar.* | grep -v '\.asc$' | head -1
}
unpack() { # unpack PACKAGE TO [pattern...]
  local t p=$1 to=$2
  shift 2
  t=$(fetch_src "$p") || { say "no source: $p"; return 1; }
  rm -rf "$to"
  mkdir -p "$to"
  tar -x --strip-components=1 --no-same-owner --wildcards -f "$t" -C "$to" "$@" 2>>"$log"
}

if [ $tier = mini ] && todo static-mini 3; then # the static category's programs, by this machine's compiler
  mkdir -p "$corpus"/{klibc,bzip2,lua,sqlite,malloc}
  inc=$root/usr/include/i386-linux-musl lib=$root/usr/lib/i386-linux-musl
  cc32() { gcc -m32 -w "$@" >>"$log" 2>&1 || say "a compile failed, see $log: $*"; }
  musl() { # musl static|dynamic ARGS...
    local how=$1
    shift
    [ -e "$lib/crt1.o" ] || { say "no musl: $*"; return 0; }
    case $how in
      static) cc32 -static -fno-pie -no-pie -nostdinc -isystem "$inc" -nostdlib -fno-stack-protector "$lib/crt1.o" "$lib/crti.o" "$@" "$lib/libc.a" -lgcc "$lib/libc.a" "$lib/crtn.o" ;;
      dynamic) cc32 -fno-pie -no-pie -nostdinc -isystem "$inc" -nostdlib -fno-stack-protector -Wl,-dynamic-linker,/lib/ld-musl-i386.so.1 "$lib/crt1.o" "$lib/crti.o" "$@" -L"$lib" -lc -lgcc "$lib/crtn.o" ;;
    esac
  }
  if unpack klibc "$cache/klibc" '*/usr/klibc/tests/*'; then cc32 -O2 -static "$cache/klibc/usr/klibc/tests/hello.c" -o "$corpus/klibc/hello.glibc"; fi
  if unpack bzip2 "$cache/bzip2"; then
    (cd "$cache/bzip2" && s="bzip2.c blocksort.c huffman.c crctable.c randtable.c compress.c decompress.c bzlib.c"
      cc32 -O2 -static $s -o "$corpus/bzip2/bzip2.glibc"; musl static -O2 $s -o "$corpus/bzip2/bzip2.musl"; cp sample* "$corpus/bzip2/")
  fi
  if unpack lua5.4 "$cache/lua"; then
    (cd "$cache/lua/src" && rm -f luac.c
      cc32 -Os -march=i386 -mno-sse -mfpmath=387 -static -DLUA_USE_POSIX ./*.c -o "$corpus/lua/lua.i386" -lm
      cc32 -O2 -static-pie -fPIE -DLUA_USE_POSIX ./*.c -o "$corpus/lua/lua.static-pie" -lm
      musl dynamic -O2 -DLUA_USE_POSIX ./*.c -o "$corpus/lua/lua.musl")
  fi
  if command -v make >/dev/null && command -v tclsh >/dev/null && unpack sqlite3 "$cache/sqlite"; then
    (cd "$cache/sqlite" && { ./configure --disable-tcl --disable-shared && make sqlite3.c sqlite3.h; } >>"$log" 2>&1
      cc32 -O2 -c -fno-pie -fno-stack-protector -nostdinc -isystem "$inc" -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION sqlite3.c -o sqlite3.o
      musl static -O2 -I. test/speedtest1.c sqlite3.o -o "$corpus/sqlite/speedtest1.musl"
      musl static -O2 -I. "$here/programs/sqlite-wal.c" sqlite3.o -o "$corpus/sqlite/sqlite-wal.musl") || say "no speedtest1"
  fi
  cc32 -O2 -static "$here/programs/malloc-stress.c" -o "$corpus/malloc/malloc-stress.glibc"
  musl static -O2 "$here/programs/malloc-stress.c" -o "$corpus/malloc/malloc-stress.musl"
  rm -rf "$cache"/{klibc,bzip2,lua,sqlite}
  did static-mini 3
fi
if [ $tier = mini ]; then
  say "done: $root"
  exit
fi

if todo qemu 1; then # qemu's own instruction and Linux tests
  s=$corpus/src/qemu out=/opt/corpus/qemu
  if unpack qemu "$s" '*/tests/tcg/multiarch/*' '*/tests/tcg/i386/*' '*/tests/tcg/x86_64/*'; then
    mkdir -p "$root$out"
    guest "cd /opt/corpus/src/qemu/tests/tcg; m=multiarch; i=i386; o=$out
      b() { t=\$1; shift; gcc -O2 -static -w \"\$@\" -o \$o/\$t -lm -lpthread || echo FAILED qemu/\$t; gcc -O2 -w \"\$@\" -o \$o/\$t.dyn -lm -lpthread || echo FAILED qemu/\$t.dyn; }
      for t in testthread sha1 sha512 sigbus overflow threadcount munmap-pthread test-mmap signals; do b \$t \$m/\$t.c; done
      for t in float_convs float_convd float_madds; do b \$t -I\$m \$m/\$t.c \$m/libs/float_helpers.c; done
      for t in linux-test linux-madvise; do b \$t \$m/linux/\$t.c; done
      for t in fbstp fxam fscale fyl2xp1 fp-exceptions f2xm1 pseudo-denormal fldcst snan-convert fpatan fxtract fyl2x fisttp fprem bmi2; do b \$t \$i/test-i386-\$t.c; done
      b sse-exceptions -msse4.1 -mfpmath=sse \$i/test-i386-sse-exceptions.c
      b pcmpistri -msse4.2 \$i/test-i386-pcmpistri.c
      b sha512-sse -msse4.1 -O3 \$m/sha512.c
      b test-i386 -fno-pie -no-pie \$i/test-i386.c \$i/test-i386-code16.S \$i/test-i386-vm86.S
      gcc -O2 -w -static -ffreestanding -nostdlib \$i/hello-i386.c -o \$o/hello-i386 || echo FAILED hello-i386"
  fi
  did qemu 1
fi

if todo valgrind 1; then # valgrind's instruction tests, run without valgrind
  s=$corpus/src/valgrind
  if unpack valgrind "$s" '*/none/tests/x86/*' '*/none/tests/x86-linux/*' '*/memcheck/tests/x86/*' '*/tests/*.h' '*/include/*'; then
    mkdir -p "$corpus/valgrind"
    guest "cd /opt/corpus/src/valgrind; : >config.h; o=/opt/corpus/valgrind
      for d in none/tests/x86/*.def; do n=\$(basename \$d .def); perl none/tests/x86/gen_insn_test.pl <\$d >/tmp/\$n.c && gcc -O1 -w -mmmx -msse4.2 -I. -Iinclude -no-pie -fno-pie /tmp/\$n.c -o \$o/\$n -lm || echo FAILED valgrind/\$n; done
      for c in none/tests/x86/*.c none/tests/x86-linux/*.c memcheck/tests/x86/*.c; do n=\$(basename \$c .c); f=
        case \$n in fpu_lazy_eflags) f='-O2 -march=pentiumpro' ;; x86locked) f=-O ;; *_s|*_c) continue ;; esac
        gcc -w -g -mmmx -msse4.2 \$f -I. -Iinclude -Inone/tests -no-pie -fno-pie \$c -o \$o/\$n -lm -lpthread || echo FAILED valgrind/\$n; done"
  fi
  did valgrind 1
fi

if todo klibc 1; then # klibc's tests, built static with musl and diet libc, and dynamic with glibc
  if unpack klibc "$corpus/src/klibc" '*/usr/klibc/tests/*'; then
    mkdir -p "$corpus/klibc"
    guest "cd /opt/corpus/src/klibc/usr/klibc/tests; o=/opt/corpus/klibc
      for c in *.c; do n=\${c%.c}
        musl-gcc -O2 -static -w \$c -o \$o/\$n.musl || rm -f \$o/\$n.musl
        diet gcc -O2 -w \$c -o \$o/\$n.diet || rm -f \$o/\$n.diet
        gcc -O2 -w \$c -o \$o/\$n.glibc || rm -f \$o/\$n.glibc
      done"
  fi
  did klibc 1
fi

if todo bash 1; then
  if unpack bash "$corpus/src/bash" '*/tests/*' '*/support/*' '*/include/*' '*/*.h' '*/config.h.in'; then
    guest "cd /opt/corpus/src/bash/tests && : >../config.h && for n in recho zecho xcase; do gcc -O1 -w -I.. -I../include -DHAVE_STRING_H -DHAVE_STDLIB_H -DHAVE_UNISTD_H ../support/\$n.c -o \$n || echo FAILED bash/\$n; done; gcc -O1 -w -DHAVE_STDLIB_H -DHAVE_STRING_H -x c - -o printenv <<< '
#include <stdio.h>
#include <string.h>
extern char **environ;
int main(int c, char **v) { int ok = c < 2; for (char **e = environ; *e; e++) { if (c < 2) puts(*e); else { size_t n = strlen(v[1]); if (!strncmp(*e, v[1], n) && (*e)[n] == 61) { puts(*e + n + 1); return 0; } } } return !ok; }'"
  fi
  did bash 1
fi

if todo busybox 1; then
  if unpack busybox "$corpus/src/busybox" '*/testsuite/*'; then
    guest 'cd /opt/corpus/src/busybox && chmod -R a+rX . && ln -sfn /bin/busybox busybox && busybox | head -1; : >.config'
  fi
  did busybox 1
fi

if todo tcl 1; then unpack tcl8.6 "$corpus/src/tcl" '*/tests/*' && did tcl 1 || true; fi
if todo gawk 1; then unpack gawk "$corpus/src/gawk" '*/test/*' && did gawk 1 || true; fi

if todo sqlite 1; then
  if unpack sqlite3 "$corpus/src/sqlite"; then
    mkdir -p "$corpus/sqlite"
    guest "cd /tmp && cp -a /opt/corpus/src/sqlite s && cd s && ./configure --disable-tcl --disable-shared >/tmp/c.log 2>&1; make sqlite3.c sqlite3.h >/tmp/m.log 2>&1 || tail -5 /tmp/m.log
      o=/opt/corpus/sqlite; f='-O2 -w -I. -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS4 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_JSON1'
      gcc \$f -c sqlite3.c -o /tmp/sqlite3.o && cp sqlite3.c sqlite3.h \$o/ &&
      for t in test/speedtest1 test/threadtest3 test/kvtest test/wordcount mptest/mptest; do x=; case \$t in *threadtest3) x=src/test_multiplex.c ;; esac; gcc \$f -Itest -Isrc \$t.c \$x /tmp/sqlite3.o -o \$o/\$(basename \$t) -lm -lpthread -ldl || echo FAILED sqlite/\$t; done
      gcc \$f -static test/speedtest1.c /tmp/sqlite3.o -o \$o/speedtest1.static -lm -lpthread -ldl
      musl-gcc -O2 -w -static -I. -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION test/speedtest1.c sqlite3.c -o \$o/speedtest1.musl -lm || echo FAILED sqlite/musl"
    find "$corpus/src/sqlite" -mindepth 1 -maxdepth 1 ! -name mptest ! -name src -exec rm -rf {} +
  fi
  did sqlite 1
fi

if todo zlib 1; then
  if unpack zlib "$corpus/src/zlib"; then
    mkdir -p "$corpus/zlib"
    guest "cp -a /opt/corpus/src/zlib /tmp/z && cd /tmp/z && ./configure --static && make -j2 libz.a example minigzip && cp example minigzip /opt/corpus/zlib/
      make distclean; CC=musl-gcc ./configure --static && make -j2 libz.a && musl-gcc -static -O2 test/example.c libz.a -I. -o /opt/corpus/zlib/example.musl && musl-gcc -static -O2 test/infcover.c libz.a -I. -o /opt/corpus/zlib/infcover.musl || echo FAILED zlib"
    cp "$corpus/src/zlib/examples/"*.c "$corpus/zlib/" 2>/dev/null || true
    rm -rf "$corpus/src/zlib"
  fi
  did zlib 1
fi

if todo lua 1; then # one program with four C libraries, and the sources for compile cases
  if unpack lua5.4 "$corpus/src/lua"; then
    mkdir -p "$corpus/lua"
    guest "cd /tmp && cp -a /opt/corpus/src/lua/src l && cd l && rm -f luac.c; o=/opt/corpus/lua
      gcc -O2 -w -DLUA_USE_POSIX *.c -o \$o/lua.glibc -lm; gcc -O2 -w -static -DLUA_USE_POSIX *.c -o \$o/lua.static -lm
      gcc -O2 -w -static-pie -fPIE -DLUA_USE_POSIX *.c -o \$o/lua.static-pie -lm
      musl-gcc -O2 -w -DLUA_USE_POSIX *.c -o \$o/lua.musl -lm; musl-gcc -O2 -w -static -DLUA_USE_POSIX *.c -o \$o/lua.musl-static -lm
      diet gcc -O2 -w *.c -o \$o/lua.diet -lm || echo FAILED lua.diet
      gcc -Os -w -m32 -march=i386 -mno-sse -mfpmath=387 -static -DLUA_USE_POSIX *.c -o \$o/lua.i386 -lm
      gcc -O3 -w -march=pentium4 -msse2 -mfpmath=sse -static -DLUA_USE_POSIX *.c -o \$o/lua.sse2 -lm"
  fi
  did lua 1
fi

if todo pcre 1; then # the JIT's own test
  if unpack pcre2 "$corpus/src/pcre2"; then
    mkdir -p "$corpus/pcre2"
    guest "cp -a /opt/corpus/src/pcre2 /tmp/p && cd /tmp/p && ./configure --enable-jit --disable-shared >/dev/null && make -j2 pcre2test pcre2_jit_test pcre2grep >/dev/null && cp pcre2test pcre2_jit_test pcre2grep /opt/corpus/pcre2/ && cp -r testdata /opt/corpus/pcre2/"
    rm -rf "$corpus/src/pcre2"
  fi
  did pcre 1
fi

if todo gmp 1; then # hand-written assembly, with its own tests
  if unpack gmp "$corpus/src/gmp"; then
    mkdir -p "$corpus/gmp"
    guest "cp -a /opt/corpus/src/gmp /tmp/g && cd /tmp/g && mkdir -p doc && printf 'all check install:\\n' >doc/Makefile.in && ./configure ABI=32 --host=i686-pc-linux-gnu --enable-fat --disable-shared >/dev/null && make -j2 >/dev/null && cd tests && make -j2 libtests.la >/dev/null
      for d in mpn mpz mpq mpf rand misc; do (cd \$d && p=\$(sed -n 's/^check_PROGRAMS = //p' Makefile.am | head -1); make -k -j2 check TESTS= >/dev/null 2>&1; mkdir -p /opt/corpus/gmp/\$d; find . -maxdepth 1 -type f -perm -1 -name 't*' -exec cp {} /opt/corpus/gmp/\$d/ \;; find . -maxdepth 1 -type f -perm -1 -name 'reuse' -exec cp {} /opt/corpus/gmp/\$d/ \;); done"
    rm -rf "$corpus/src/gmp"
  fi
  did gmp 1
fi

if todo static 1; then # bzip2, three C libraries
  if unpack bzip2 "$corpus/src/bzip2"; then
    mkdir -p "$corpus/bzip2"
    guest "cd /opt/corpus/src/bzip2; for k in musl-gcc:musl 'diet gcc:diet' 'gcc -static:glibc'; do c=\${k%%:*}; \$c -O2 -w -static bzip2.c blocksort.c huffman.c crctable.c randtable.c compress.c decompress.c bzlib.c -o ../../bzip2/bzip2.\${k##*:} || echo FAILED bzip2 \$k; done; cp sample* ../../bzip2/"
  fi
  did static 1
fi

if command -v go >/dev/null && todo go "$(go version)"; then # Go's own tests and test programs, static
  mkdir -p "$corpus/go/src" "$corpus/go/test"
  goroot=$(go env GOROOT)
  export GOOS=linux GOARCH=386 CGO_ENABLED=0 GOFLAGS=-trimpath GOTOOLCHAIN=local GOPROXY=off GOWORK=off
  for p in $(sed '/^#/d' "$here/go-packages.txt"); do
    o=$corpus/go/$(echo "$p" | tr / -).test
    (cd "$goroot/src/$p" && go test -c -o "$o" . >>"$log" 2>&1) || { say "go test -c $p failed"; continue; }
    mkdir -p "$corpus/go/src/$p"
    [ ! -d "$goroot/src/$p/testdata" ] || cp -r "$goroot/src/$p/testdata" "$corpus/go/src/$p/"
  done
  [ ! -d "$goroot/src/testdata" ] || cp -r "$goroot/src/testdata" "$corpus/go/src/"
  mkdir -p "$corpus/go/lib/time" && cp "$goroot/lib/time/zoneinfo.zip" "$corpus/go/lib/time/"
  for t in $(sed -n 's/^#prog //p' "$here/go-packages.txt"); do
    (cd "$goroot/test" && go build -o "$corpus/go/test/$(basename "$t" .go)" "$t" >>"$log" 2>&1) || say "go build $t failed"
  done
  unset GOOS GOARCH CGO_ENABLED GOFLAGS GOTOOLCHAIN GOPROXY GOWORK
  printf 'go\t%s\thost\n' "$(go version | cut -d' ' -f3)" >>"$corpus/versions.tsv"
  did go "$(go version)"
fi

if command -v cargo >/dev/null && todo rust "$(rustc --version)"; then # Rust programs, static with musl, where the target is there
  if rustc --print target-libdir --target i686-unknown-linux-musl 2>/dev/null | xargs -r ls >/dev/null 2>&1; then
    printf '[target.i686-unknown-linux-musl]\nlinker = "rust-lld"\n' >"$cache/cargo.toml"
    for c in $RUST_CRATES; do
      cargo install --config "$cache/cargo.toml" --locked --target i686-unknown-linux-musl --root "$corpus/rust" --target-dir "$cache/cargo" "$c" >>"$log" 2>&1 || say "cargo install $c failed"
    done
    rm -rf "$cache/cargo"
  else
    say "no i686-unknown-linux-musl target for rustc: Rust cases will have no program"
  fi
  did rust "$(rustc --version)"
fi
say "done: $root"
