# An interactive bash in the emulator, on a real terminal: prints a line for each thing that went as on a real machine. Arguments: seg386, root.
import os, pty, select, sys, termios, fcntl, struct, time

LIMIT = 20
seg386, root = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="vt100", PS1="ready> ", HOME="/tmp")
    os.execv(seg386, ["seg386", "-r", root, "--overlay", "-w", "/tmp", "/bin/bash", "--norc", "--noprofile", "-i"])


def until(text):
    seen, end = b"", time.monotonic() + LIMIT
    while text not in seen:
        if time.monotonic() > end:
            print("waited in vain for", text, "after", seen[-300:])
            sys.exit(1)
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 4096)
    return seen


def type_(text):
    os.write(fd, text)


until(b"ready> ")
print("prompt")
type_(b"ech\t/etc/pass\t\n")
until(b"\r/etc/passwd")
until(b"ready> ")
print("completion")
type_(b"echo begun; sleep 1000\n")
until(b"\rbegun")
time.sleep(1)
type_(b"\x03")
until(b"ready> ")
type_(b"echo status=$?\n")
until(b"\rstatus=130")
until(b"ready> ")
print("interrupt")
type_(b"echo begun; sleep 1000\n")
until(b"\rbegun")
time.sleep(1)
type_(b"\x1a")
until(b"Stopped")
until(b"ready> ")
type_(b"fg\n")
until(b"\rsleep 1000")
time.sleep(1)
type_(b"\x03")
until(b"ready> ")
print("stop and foreground")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
type_(b"busybox stty size\n")
until(b"33 99")
until(b"ready> ")
print("window size")
type_(b"busybox vi written\n")
until(b"written")
time.sleep(1)
type_(b"ifrom vi\x1b")
time.sleep(0.5)
type_(b":wq\r")
until(b"ready> ")
type_(b"cat written\n")
until(b"\rfrom vi")
until(b"ready> ")
print("vi")
type_(b"exit 7\n")
print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
