#!/usr/bin/env python3
"""Run the real-program corpus natively, under qemu-i386 and under an emulator, and compare.

  run.py --root DIR                                   native twice (flaky check) and qemu-i386
  run.py --root DIR --engines native,emu --emu 'node dist/cli.js -r {root} --'
  run.py --root DIR --split open --filter '^shell'    a part of the cases
  run.py --root DIR --bench                           bench.tsv, medians of --repeat runs
  run.py --root DIR --exec native -- /bin/sh -c 'uname -a'     one command, output passed through

Each run gets its own user, pid, mount, network (loopback only), ipc and uts namespace. Inside it the
rootfs is read-only, /tmp, /run, /var/tmp and /dev/shm are fresh size-bounded tmpfs, /proc belongs to the
new pid namespace and /dev holds a handful of nodes. Pid 1 of the namespace is this script: when it
ends (guest done, or time out) the kernel ends whatever the case left behind, so nothing can run away and
no process outside is ever signalled. Needs root, or a kernel that lets users make user namespaces.

Engines:
  native  chroot into the rootfs, personality LINUX32: the bare CPU, the oracle
  qemu    the same chroot, with a binfmt_misc instance private to the namespace that hands every i386
          ELF file (children too) to a static qemu-i386
  emu     the command template of --emu, run outside the chroot; {root} is the rootfs, the guest's argv
          is appended. Its standard streams, exit status and environment are those of the guest.
"""
import argparse, ctypes, json, os, re, resource, select, shlex, shutil, signal, statistics, stat, subprocess
import sys, threading, time
from collections import Counter, OrderedDict

HERE = os.path.dirname(os.path.abspath(__file__))
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
GUEST_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/games", "HOME": "/tmp/home", "LANG": "C.UTF-8",
             "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh",
             "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": "/tmp"}
WORK = "/tmp/w"
TIERS = ["mini", "core", "full"]  # each has the ones before it in it
I386_MAGIC = (rb"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x03\x00",
              rb"\xff\xff\xff\xff\xff\xfe\xfe\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff")

# ---------------------------------------------------------------- inside the namespace

libc = ctypes.CDLL(None, use_errno=True)


def check(r, what):
    if r != 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e) + ": " + what)


def mount(src, dst, kind, flags=0, data=None):
    enc = lambda s: s.encode() if s is not None else None
    check(libc.mount(enc(src), enc(dst), enc(kind), flags, enc(data)), "mount " + dst)


def lo_up():
    import fcntl, socket, struct
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ifr = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
    fcntl.ioctl(s, 0x8914, ifr)
    s.close()


def set_up(spec):
    """Mounts, in the new mount namespace, as its root."""
    root = spec["root"]
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    mount(root, root, None, MS_BIND | MS_REC)
    if not spec.get("rw"):
        mount("none", root, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    for d, size in (("/tmp", "3g"), ("/run", "64m"), ("/var/tmp", "512m"), ("/dev", "1m")):
        mount("tmpfs", root + d, "tmpfs", 0, "mode=%s,size=%s" % ("1777" if d in ("/tmp", "/var/tmp") else "755", size))
    dev = root + "/dev"
    for n in ("null", "zero", "full", "random", "urandom", "tty"):
        open(dev + "/" + n, "w").close()
        mount("/dev/" + n, dev + "/" + n, None, MS_BIND)
    for d in ("shm", "pts", "mqueue"):
        os.mkdir(dev + "/" + d)
    mount("tmpfs", dev + "/shm", "tmpfs", 0, "mode=1777,size=1g")
    mount("devpts", dev + "/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=620")
    try:
        mount("mqueue", dev + "/mqueue", "mqueue")
    except OSError:
        pass
    os.symlink("pts/ptmx", dev + "/ptmx")
    for n, t in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(t, dev + "/" + n)
    mount("proc", root + "/proc", "proc")
    os.makedirs(root + WORK)
    os.makedirs(root + "/tmp/home")
    if spec["engine"] == "qemu":
        mount("none", "/proc/sys/fs/binfmt_misc", "binfmt_misc")
        fd = os.open("/proc/sys/fs/binfmt_misc/register", os.O_WRONLY)
        os.write(fd, b":corpus-i386:M::" + I386_MAGIC[0] + b":" + I386_MAGIC[1] + b":" + spec["qemu"].encode() + b":POF")
        os.close(fd)
    lo_up()
    check(libc.sethostname(b"corpus", 6), "sethostname")


def guest(spec):
    """Becomes the guest (native, qemu) or the emulator (emu)."""
    os.setsid()
    for sig in range(1, 65):
        try:
            signal.signal(sig, signal.SIG_DFL)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)
    env = dict(GUEST_ENV)
    if spec["engine"] == "emu":
        env.update(spec.get("env", {}))
        os.chdir(spec["cwd"])
        os.execve(spec["argv"][0], spec["argv"], env)
    os.chroot(spec["root"])
    os.chdir("/")
    libc.personality(0x0008)
    os.execve(spec["argv"][0], spec["argv"], env)


def pid_one(spec, report):
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    out = {"ok": False}
    try:
        set_up(spec)
        # Here and not in the guest: node raises its own soft limits, and the emulator then asks its parent for them.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.close(report)
            try:
                guest(spec)
            except BaseException as e:
                os.write(2, ("corpus: cannot start the guest: %s\n" % e).encode())
            os._exit(127)
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(0, 2)
        signal.signal(signal.SIGALRM, lambda *a: finish({"ok": True, "timeout": True, "wall": time.monotonic() - start}, report))
        signal.setitimer(signal.ITIMER_REAL, spec["timeout"])
        while True:
            p, st = os.wait()
            if p == pid:
                break
        ru = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = os.WEXITSTATUS(st) if os.WIFEXITED(st) else 128 + os.WTERMSIG(st)
        out = {"ok": True, "status": code, "wall": time.monotonic() - start, "cpu": ru.ru_utime + ru.ru_stime, "rss": ru.ru_maxrss}
    except BaseException as e:
        out = {"ok": False, "error": repr(e)}
    finish(out, report)


def finish(out, report):
    os.write(report, json.dumps(out).encode())
    os._exit(0)


def inner(spec, report):
    """A process of its own: makes the namespaces and waits for pid 1 in them. If it or the runner is killed, all go."""
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    r1, w1 = os.pipe()
    r2, w2 = os.pipe()
    child = os.fork()
    if child == 0:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)
        os.close(r1), os.close(w2)
        try:
            check(libc.unshare(NEWUSER | NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET), "unshare")
            os.write(w1, b"x")
            if os.read(r2, 1) != b"x":
                os._exit(1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # the change of credentials has cleared it
            p = os.fork()
            if p == 0:
                os.close(w1), os.close(r2)
                pid_one(spec, report)
            os.waitpid(p, 0)
            os._exit(0)
        except BaseException as e:
            finish({"ok": False, "error": repr(e)}, report)
    os.close(w1), os.close(r2)
    if os.read(r1, 1) == b"x":
        if os.getuid() == 0:
            maps = "0 0 65536"
        else:
            maps = "0 %d 1" % os.getuid()
            open("/proc/%d/setgroups" % child, "w").write("deny")
        open("/proc/%d/uid_map" % child, "w").write(maps)
        open("/proc/%d/gid_map" % child, "w").write(maps if os.getuid() == 0 else "0 %d 1" % os.getgid())
        os.write(w2, b"x")
    os.waitpid(child, 0)
    os._exit(0)


# ---------------------------------------------------------------- outside

def run_one(spec, stdin=b"", cap=8 << 20, passthrough=False):
    """One run. Returns a dict: status, out, err, wall, cpu, timeout, overflow, error."""
    rr, rw = os.pipe()
    os.set_inheritable(rw, True)
    args = [sys.executable, os.path.abspath(__file__), "--_inner", str(rw), json.dumps(spec)]
    p = subprocess.Popen(args, stdin=None if passthrough else subprocess.PIPE, stdout=None if passthrough else subprocess.PIPE,
                         stderr=None if passthrough else subprocess.PIPE, pass_fds=(rw,), start_new_session=True)
    os.close(rw)
    bufs = {}
    over = []

    def reader(f, name):
        b = bytearray()
        while True:
            d = f.read1(65536)
            if not d:
                break
            if len(b) < cap:
                b += d
            else:
                over.append(name)
                p.kill()
                break
        bufs[name] = bytes(b)

    def feeder():
        try:
            p.stdin.write(stdin)
            p.stdin.close()
        except OSError:
            pass

    threads = []
    if not passthrough:
        threads = [threading.Thread(target=reader, args=(p.stdout, "out"), daemon=True),
                   threading.Thread(target=reader, args=(p.stderr, "err"), daemon=True),
                   threading.Thread(target=feeder, daemon=True)]
        for t in threads:
            t.start()
    try:
        p.wait(spec["timeout"] + 20)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
    except KeyboardInterrupt:
        p.kill()
        p.wait()
        raise
    for t in threads[:2]:
        t.join(10)
    data = b""
    while True:
        d = os.read(rr, 65536)
        if not d:
            break
        data += d
    os.close(rr)
    r = json.loads(data) if data else {"ok": False, "error": "no report"}
    if over:
        r = {"ok": True, "overflow": True, "wall": r.get("wall", 0)}
    r["out"], r["err"] = bufs.get("out", b""), bufs.get("err", b"")
    return r


def find_qemu(given, root):
    for q in (given, os.environ.get("QEMU_I386_STATIC"), root.rstrip("/") + ".tools/usr/bin/qemu-i386-static", shutil.which("qemu-i386-static")):
        if q and os.path.exists(q):
            return os.path.abspath(q)
    return None


def unescape(s):
    return s.encode().decode("unicode_escape").encode("latin-1") if s != "-" else b""


def load(path):
    rows = []
    with open(path) as f:
        head = None
        for n, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            cells = line.split("\t")
            if head is None:
                head = cells
                continue
            if len(cells) != len(head):
                sys.exit("%s:%d: %d cells, want %d" % (path, n, len(cells), len(head)))
            rows.append(dict(zip(head, cells)))
    return rows


def argv_of(case):
    if case["mode"] == "exec":
        return shlex.split(case["command"])
    shell = {"sh": "/bin/sh", "bash": "/bin/bash"}[case["mode"]]
    return [shell, "-c", 'cd "$0" || exit 99\n' + case["command"], WORK]


def post(text, ops):
    """What is compared: the standard output after the case's filters."""
    if ops in ("-", ""):
        return text
    lines = text.decode("utf-8", "replace").split("\n")
    for op in ops.split(" ;; "):
        kind, _, arg = op.partition(":")
        if kind == "keep":
            lines = [l for l in lines if re.search(arg, l)]
        elif kind == "drop":
            lines = [l for l in lines if not re.search(arg, l)]
        elif kind == "sub":
            a, _, b = arg.partition("=>")
            lines = [re.sub(a, b, l) for l in lines]
        elif kind == "sort":
            lines = sorted(lines)
        elif kind == "uniq":
            lines = list(OrderedDict.fromkeys(lines))
        elif kind == "status":
            lines = []
        elif kind == "unittest":
            t = "\n".join(lines)
            got = re.findall(r"^(test\w*) \(([\w.<>]+)\)(?:[^\n]*\n(?!test)[^\n]*?)?[^\n]*? \.\.\. *(?:[^\n]*?)(ok|FAIL|ERROR|skipped|expected failure|unexpected success)\b", t, re.M)
            lines = sorted("%s.%s %s" % (c, n, s) for n, c, s in got) + re.findall(r"^(?:OK|FAILED)[^\n]*", t, re.M)
        else:
            sys.exit("unknown filter " + kind)
    return "\n".join(lines).encode()


def make_spec(engine, case_argv, timeout, a):
    spec = {"engine": engine, "root": a.root, "argv": case_argv, "timeout": timeout}
    if engine == "qemu":
        spec["qemu"] = a.qemu
    elif engine == "emu":
        t = [w.replace("{root}", a.root) for w in shlex.split(a.emu)]
        exe = shutil.which(t[0])
        if not exe:
            sys.exit("no such emulator command: " + t[0])
        env = {"PATH": GUEST_ENV["PATH"]}
        env.update(dict(kv.split("=", 1) for kv in a.emu_env))
        spec.update(argv=[os.path.abspath(exe)] + t[1:] + case_argv, cwd=a.emu_cwd, env=env)
    return spec


def verdict(case, want, got, stderr=False):
    if not got.get("ok"):
        return "broken: " + str(got.get("error"))
    if got.get("timeout"):
        return "timeout"
    if got.get("overflow"):
        return "overflow"
    a, b = post(want["out"], case["post"]), post(got["out"], case["post"])
    if want["status"] != got["status"]:
        v = "status %d, want %d" % (got["status"], want["status"])
    elif a != b:
        v = "output"
    elif stderr and want["err"] != got["err"]:
        v = "stderr: %r, want %r" % (got["err"][:300], want["err"][:300])
    else:
        return "pass"
    if a != b:
        ca, cb = Counter(a.split(b"\n")), Counter(b.split(b"\n"))
        v += " (%d of %d lines right)" % (sum((ca & cb).values()), sum(ca.values()))
    return v


def factor(engine, a):
    return {"native": 1.0, "qemu": a.qemu_factor, "emu": a.emu_factor}[engine]


def save(dirname, engine, case, r):
    if dirname:
        os.makedirs(dirname, exist_ok=True)
        for s in ("out", "err"):
            with open(os.path.join(dirname, "%s.%s.%s" % (case["name"], engine, s)), "wb") as f:
                f.write(r[s])


def run_case(case, a):
    argv, t = argv_of(case), float(case["timeout"])
    stdin = unescape(case["stdin"])
    res = {"name": case["name"], "category": case["category"], "split": case["split"]}
    oracle = None
    for engine in a.engines:
        runs = a.native_runs if engine == "native" else 1
        for k in range(runs):
            r = run_one(make_spec(engine, argv, t * factor(engine, a), a), stdin)
            if engine == "native" and k == 0:
                oracle = r
                v = "pass" if r.get("ok") and not r.get("timeout") and not r.get("overflow") else verdict(case, r, r)
                if r.get("status") in (126, 127):  # a program that this rootfs lacks: nothing to compare with
                    v, oracle = "absent: status %d" % r["status"], {}
                res["native"] = {"verdict": v, "wall": r.get("wall"), "status": r.get("status"), "rss": r.get("rss")}
            elif engine == "native":
                v = verdict(case, oracle, r, a.stderr) if oracle.get("status") is not None else "no oracle"
                if v != "pass":
                    res["native"]["verdict"] = "flaky: " + v
            else:
                v = verdict(case, oracle, r, a.stderr) if oracle and oracle.get("status") is not None else "no oracle"
                res[engine] = {"verdict": v, "wall": r.get("wall"), "status": r.get("status")}
            save(a.save, engine if k == 0 else engine + str(k + 1), case, r)
    return res


def table(results, engines):
    cats = OrderedDict()
    for r in results:
        cats.setdefault(r["category"], []).append(r)
    head = "%-12s %5s" % ("category", "cases") + "".join(" %9s" % e for e in engines) + "".join(" %11s" % (e + "/nat") for e in engines if e != "native")
    print(head)
    rows = list(cats.items()) + [("TOTAL", results)]
    for c, rs in rows:
        line = "%-12s %5d" % (c, len(rs))
        for e in engines:
            line += " %9d" % sum(r.get(e, {}).get("verdict") == "pass" for r in rs)
        for e in engines:
            if e != "native":
                q = [r[e]["wall"] / max(r["native"]["wall"], 1e-3) for r in rs
                     if r.get(e, {}).get("verdict") == "pass" and r.get("native", {}).get("wall")]
                line += " %11s" % ("%.2f" % statistics.geometric_mean(q) if q else "-")
        print(line)
    for e in engines:
        bad = [(r["name"], r[e]["verdict"]) for r in results if e in r and r[e]["verdict"] != "pass"]
        print("\n%s: %d not passed" % (e, len(bad)))
        for n, v in bad:
            print("  %-28s %s" % (n, v))


def bench(rows, a):
    """Medians of the wall time and of the processor time (user and system, children too), which bears a busy machine better."""
    others = [e for e in a.engines if e != "native"]
    print("%-14s" % "bench" + "".join(" %9s %9s" % (e, "cpu") for e in a.engines) + "".join(" %12s %7s" % (e + "/native", "cpu") for e in others))
    cell = lambda x, w: " %*s" % (w, "%.2f" % x if x is not None else "fail")
    ratio = lambda x, y: x / max(y, 1e-3) if x is not None and y is not None else None
    allr = []
    for case in rows:
        med, ok, want = {}, {}, None
        for e in a.engines:
            runs = []
            for k in range(a.emu_repeat if e == "emu" else a.repeat):
                r = run_one(make_spec(e, argv_of(case), float(case["timeout"]) * factor(e, a), a), unescape(case["stdin"]))
                want = want or r
                ok[e] = verdict(case, want, r)
                if ok[e] != "pass":
                    break
                runs.append(r)
            med[e] = [statistics.median(r[k] for r in runs) for k in ("wall", "cpu")] if ok[e] == "pass" else [None, None]
        line = "%-14s" % case["name"] + "".join(cell(med[e][0], 9) + cell(med[e][1], 9) for e in a.engines)
        line += "".join(cell(ratio(med[e][0], med["native"][0]), 12) + cell(ratio(med[e][1], med["native"][1]), 7) for e in others)
        print(line + "".join("  %s: %s" % (e, ok[e]) for e in a.engines if ok[e] != "pass"), flush=True)
        allr.append({"name": case["name"], "median": med, "verdict": ok})
    return allr


def main():
    if len(sys.argv) > 3 and sys.argv[1] == "--_inner":
        inner(json.loads(sys.argv[3]), int(sys.argv[2]))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--root", default=os.environ.get("CORPUS_ROOT", os.path.join(os.environ.get("TMPDIR", "/tmp"), "corpus-rootfs")))
    p.add_argument("--engines", default=None, help="comma list of native, qemu, emu; native comes first and is the oracle")
    p.add_argument("--emu", default=os.environ.get("EMU"), help="command template; {root} is replaced, the guest's argv appended")
    p.add_argument("--emu-cwd", default=os.getcwd())
    p.add_argument("--emu-env", action="append", default=[], metavar="K=V")
    p.add_argument("--qemu", default=None, help="a static qemu-i386")
    p.add_argument("--cases", action="append", help="a table of cases; may be given more than once (default: cases.tsv)")
    p.add_argument("--stderr", action="store_true", help="standard error must be equal too")
    p.add_argument("--filter", default="", help="regular expression on NAME or CATEGORY/NAME")
    p.add_argument("--split", default="all", choices=["all", "open", "held"])
    p.add_argument("--tier", default="full", choices=TIERS)
    p.add_argument("--native-runs", type=int, default=None)
    p.add_argument("--qemu-factor", type=float, default=5, help="the case's time limit times this under qemu")
    p.add_argument("--emu-factor", type=float, default=10)
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--json", help="write the results here")
    p.add_argument("--save", help="folder for each run's output")
    p.add_argument("--list", action="store_true")
    p.add_argument("--bench", action="store_true")
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--emu-repeat", type=int, default=1)
    p.add_argument("--exec", choices=["native", "qemu", "emu"])
    p.add_argument("--timeout", type=float, default=600)
    p.add_argument("--rw", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("rest", nargs="*")
    a = p.parse_args()
    a.root = os.path.realpath(a.root)
    a.qemu = find_qemu(a.qemu, a.root)
    if a.exec:
        spec = make_spec(a.exec, a.rest, a.timeout, a)
        spec["rw"] = a.rw
        r = run_one(spec, passthrough=True)
        if not r.get("ok"):
            sys.exit("broken: " + str(r.get("error")))
        sys.exit(124 if r.get("timeout") else r["status"])
    rows = [r for t in (a.cases or [os.path.join(HERE, "bench.tsv" if a.bench else "cases.tsv")]) for r in load(t)]
    rows = [r for r in rows if re.search(a.filter, r["name"]) or re.search(a.filter, r["category"] + "/" + r["name"])]
    rows = [r for r in rows if a.split in ("all", r["split"]) and TIERS.index(r["tier"]) <= TIERS.index(a.tier)]
    if a.list:
        for r in rows:
            print("%-28s %-12s %-5s %-5s %s" % (r["name"], r["category"], r["split"], r["tier"], r["command"]))
        return
    if not a.engines:
        a.engines = "native,emu" if a.emu else "native,qemu"
    a.engines = a.engines.split(",")
    if "qemu" in a.engines and not a.qemu:
        sys.exit("no static qemu-i386: give --qemu, or run mkrootfs.sh, which fetches one")
    if "emu" in a.engines and not a.emu:
        sys.exit("no emulator: give --emu or EMU")
    if a.native_runs is None:
        a.native_runs = 1 if "emu" in a.engines else 2
    if not os.path.isdir(a.root + "/opt/corpus"):
        sys.exit("no corpus rootfs at %s: run mkrootfs.sh first" % a.root)
    if a.bench:
        out = bench(rows, a)
    else:
        out = [None] * len(rows)
        lock = threading.Lock()
        todo = iter(list(enumerate(rows)))

        def worker():
            while True:
                with lock:
                    n = next(todo, None)
                if n is None:
                    return
                res = run_case(n[1], a)
                out[n[0]] = res
                with lock:
                    print("%4d/%d %-28s " % (n[0] + 1, len(rows), res["name"]) + "  ".join(
                        "%s: %s %.2fs" % (e, res[e]["verdict"], res[e]["wall"] or 0) for e in a.engines if e in res), file=sys.stderr, flush=True)

        ts = [threading.Thread(target=worker) for _ in range(a.jobs)]
        [t.start() for t in ts]
        [t.join() for t in ts]
        table(out, a.engines)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(out, f, indent=1)
    if not a.bench and "emu" in a.engines:
        sys.exit(any(r["emu"]["verdict"] != "pass" for r in out))


if __name__ == "__main__":
    main()
