"""Ends the servers of tests that were ended themselves, and removes their folders.

Fixtures do that at the end of the tests. But pytest-xdist gives an interrupted worker some seconds
and then kills it, in the middle of its fixtures; so may anybody. The reaper is a process in a
session of its own that no signal to the tests reaches. It reads what it is to end, line by line,
from a pipe; when the tests are over, however they ended, so is the pipe.

    reaper.start()                       once; a process of tests/run, which waits for it
    reaper.process(pid, signal.SIGQUIT)  ended by this signal, by SIGKILL when that does not do
    reaper.pid_file(path, how)           the process in this file (or those of a pattern), read at
                                         the end; its command line names the folder of the file
    reaper.folder(path)                  removed after that

What has ended before, and what was removed, is left alone: nothing is taken back.
"""

import atexit
import contextlib
import glob
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

PATIENCE = 10.0
_pipe = None


# ---- in the tests' process -----------------------------------------------------------------------

def start():
    """Its standard output and error are ours, so that who waits for their end waits for it."""
    global _pipe
    if _pipe is None:
        # isolated from the environment: it needs the standard library and nothing else
        process = subprocess.Popen([sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE,
                                   start_new_session=True, text=True)
        _pipe = process.stdin
        atexit.register(_over, process)


def _over(process):
    process.stdin.close()
    process.wait(2 * PATIENCE)


def _tell(**what):
    start()
    _pipe.write(json.dumps(what) + "\n")
    _pipe.flush()


def process(pid, how=signal.SIGKILL):
    _tell(pid=pid, born=born(pid), how=int(how))


def pid_file(path, how=signal.SIGKILL):
    _tell(pid_file=str(path), how=int(how))


def folder(path):
    _tell(folder=str(path))


# ---- in its own ----------------------------------------------------------------------------------

def born(pid):
    """When the process began, in ticks since boot; None: it is over. Tells apart who has had the
    same number."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def found(what):
    """(pid, born, signal) of what still runs."""
    if "pid" in what and what["born"] and born(what["pid"]) == what["born"]:
        yield what["pid"], what["born"], what["how"]
    for path in glob.glob(what.get("pid_file", "")):
        with contextlib.suppress(OSError, IndexError, ValueError):
            pid = int(pathlib.Path(path).read_text().split()[0])
            if os.path.dirname(path).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid, born(pid), what["how"]


def kill(pid, how):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def end(processes):
    for pid, _, how in processes:
        kill(pid, how)
    deadline = time.monotonic() + PATIENCE
    while processes and time.monotonic() < deadline:
        processes = [one for one in processes if born(one[0]) == one[1]]
        time.sleep(0.05)
    for pid, _, _ in processes:
        kill(pid, signal.SIGKILL)


def main():
    told = []
    for line in sys.stdin:
        told.append(json.loads(line))
    end([one for what in told for one in found(what)])
    for what in told:
        if "folder" in what:
            shutil.rmtree(what["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
