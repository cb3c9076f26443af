# An interactive bash in the emulator, on a real terminal: prints a line for each thing that went as on a real machine. Arguments: seg386, root.
import os, pty, select, sys, termios, fcntl, struct, time

LIMIT = 40
seg386, root = sys.argv[1:]


def start(prompt, *command):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="vt100", PS1=prompt, HOME="/tmp")
        os.execv(command[0], command)
    return pid, fd


unread = b""


def until(text):
    global unread
    end = time.monotonic() + LIMIT
    while text not in unread:
        if time.monotonic() > end:
            print("waited in vain for", text, "after", unread[-300:])
            sys.exit(1)
        if select.select([fd], [], [], 0.2)[0]:
            unread += os.read(fd, 4096)
    unread = unread[unread.index(text) + len(text):]


def type_(text):
    os.write(fd, text)


def modes():
    flags = termios.tcgetattr(fd)[3]
    return [bool(flags & flag) for flag in (termios.ICANON, termios.ECHO, termios.ISIG)]


# It speaks for itself when the terminal is its own: what is typed too early is the shell's.
JOB = b"""bash -c 'trap "echo goes on" CONT; echo begun; while :; do read -t 0.2 line; done'\n"""

pid, fd = start("ready> ", seg386, "-r", root, "--overlay", "-w", "/tmp", "/bin/bash", "--norc", "--noprofile", "-i")
until(b"ready> ")
print("prompt")
type_(b"ech\t/etc/pass\t\n")
until(b"\r/etc/passwd")
until(b"ready> ")
print("completion")
type_(JOB)
until(b"\rbegun")
type_(b"\x03")
until(b"ready> ")
type_(b"echo status=$?\n")
until(b"\rstatus=130")
until(b"ready> ")
print("interrupt")
type_(JOB)
until(b"\rbegun")
type_(b"\x1a")
until(b"Stopped")
until(b"ready> ")
type_(b"fg\n")
until(b"\ngoes on")
type_(b"\x03")
until(b"ready> ")
print("stop and foreground")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
type_(b"busybox stty size\n")
until(b"33 99")
until(b"ready> ")
print("window size")
type_(b"busybox vi written\n")
until(b"~")
type_(b"ifrom vi\x1b")
time.sleep(0.5)
type_(b":wq\r")
until(b"ready> ")
type_(b"cat written\n")
until(b"\rfrom vi")
until(b"ready> ")
print("vi")
type_(b"python3\n")
until(b">>> ")
type_(b"print(6 * 70)\x7f\x7f)\r")
until(b"\n42\r")
until(b">>> ")
type_(b"while True: pass\r\r")
until(b"... ")
time.sleep(1)
type_(b"\x03")
until(b"KeyboardInterrupt")
until(b">>> ")
type_(b"\x04")
until(b"ready> ")
print("python")
type_(b"true\n")
until(b"ready> ")
type_(b"\x04")
until(b"exit")
print("end of input, status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
pid, fd = start("ready> ", seg386, "-r", root, "/bin/bash", "--norc", "--noprofile", "-i")
until(b"ready> ")
type_(b"exit 7\n")
print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

# The emulator as a job of the host's shell: stopped and continued by keys, and the terminal as before whatever becomes of the guest.
pid, fd = start("host> ", "/bin/bash", "--norc", "--noprofile", "+o", "emacs", "-i")
until(b"host> ")
usual = modes()
type_(f"S='{seg386} -r {root}'\n".encode())
until(b"host> ")
type_(b"$S /bin/cat\n")
until(b"/bin/cat\r\n")
type_(b"first\n")
until(b"first\r\nfirst")
type_(b"\x1a")
until(b"Stopped")
until(b"host> ")
type_(b"fg\n")
until(b"/bin/cat\r\n")
type_(b"second\n")
until(b"second\r\nsecond")
type_(b"\x04")
until(b"host> ")
print("a job of the host's shell")
type_(b"$S /bin/busybox vi /tmp/none\n")
until(b"~")
assert modes() != usual
type_(b"\x1a")
until(b"Stopped")
until(b"host> ")
assert modes() == usual, modes()
type_(b"fg\n")
until(b"~")
type_(b":q!\r")
until(b"host> ")
print("an editor is stopped and goes on")
type_(b"$S /bin/bash -c 'stty raw -echo; kill -SEGV $$'\n")
until(b"Segmentation fault")
until(b"host> ")
assert modes() == usual, modes()
print("the terminal after a crash")
type_(b"exit\n")
os.waitpid(pid, 0)
