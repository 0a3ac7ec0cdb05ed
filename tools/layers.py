#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The floors: who may include whom, and who may talk to the kernel.

The table of allowed edges is read from docs/architecture.md (the one that starts with
`| folder | may include |`). On top come the never-rules that a script can see:

  layer    an edge that is not in the table; main/ included from outside; a sibling; a codec that
           reaches net/, event/ or tls/ through any header
  private  x_int.h outside its folder
  path     an include that is not "folder/file.h" relative to src/, or that does not exist
  syscall  a system call outside the files that may make it; recv, send, epoll outside event/
  library  a header of a foreign library outside the files that own it

A breach is allowed by /* allow(rule): reason */ on its line or the line above.
"""
import argparse
import fnmatch
import os
import re
import sys

import csrc

RULES = ["layer", "private", "path", "syscall", "library"]

# Rule 5: bytes in, bytes out.
CODECS = ["http/h1_parse.*", "http/h1_chunk.*", "http/h1_write.*", "http/hdr.*", "http/uri.*",
          "http/msg.*", "net/proxy_head.*", "proto/*_codec.*", "proto/*_record.*"]
CODEC_NEVER = {"net", "event", "tls"}

# Rule 6: the one list.
SYSCALL_OWNERS = ["event/*", "net/sock.c", "net/syslog.c", "io/file.c", "io/spill.c", "io/append.c", "io/kpipe.c", "io/walk.c", "io/piece.c", "io/folder.c", "io/tree.c",
                  "base/clock.c", "base/rng.c", "base/log.c", "main/*"]
SYSCALLS = """
    socket socketpair bind listen accept accept4 connect shutdown setsockopt getsockopt getsockname
    getpeername recvfrom sendto recvmsg sendmsg sendfile splice tee vmsplice
    read write pread pwrite readv writev preadv pwritev open openat creat close stat fstat lstat
    fstatat lseek ftruncate unlink unlinkat rename mkdir rmdir mkstemp mkostemp opendir readdir glob
    fopen poll ppoll fcntl ioctl pipe pipe2 eventfd timerfd_create timerfd_settime signalfd
    inotify_init1 fork vfork execv execve execvp waitpid wait kill raise mmap munmap memfd_create
    clock_gettime gettimeofday time nanosleep clock_nanosleep getrandom sigaction chown chmod setuid
    setgid setrlimit prlimit flock syscall
""".split()
# A process that dies says its last words without asking anybody.
LAST_WORDS = ["base/assert.c", "base/mem.c", "base/recorder.c"]
# Large blocks come from the system and go back to it.
ALLOCATORS = ["base/mem.c", "base/arena.c", "base/slab.c", "base/chunk.c"]
ALLOCATOR_CALLS = ["mmap", "munmap"]
# What only event/ does on behalf of everybody.
EVENT_CALLS = ["recv", "send", "recvmmsg", "sendmmsg", "epoll_create1", "epoll_create", "epoll_ctl",
               "epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_setup", "io_uring_enter"]
EVENT_HEADERS = ["sys/epoll.h", "sys/eventfd.h", "sys/timerfd.h", "sys/signalfd.h",
                 "linux/io_uring.h"]
# Rule 4: bytes of a configuration come from a source, never from a file.
CONF_HEADERS = ["fcntl.h", "unistd.h", "dirent.h", "glob.h", "netdb.h", "sys/stat.h",
                "sys/socket.h", "sys/mman.h", "poll.h"]

# Foreign libraries: each in one pair of files, so that it can be exchanged.
LIBRARIES = [
    ("pcre2.h", ["http/regex.*"]),
    ("ares*.h", ["net/dns*"]),
    ("nghttp2/*", ["http/h2_*"]),
    ("openssl/*", ["tls/*", "base/digest.*"]),
    ("stdatomic.h", ["base/sync.*"]),
    ("crypt.h", ["mod/passwd.*"]),
    ("zlib.h", ["mod/zlib.*", "mod/gzip.*", "observe/log_gzip.*"]),
    ("brotli/*", ["mod/brotli.*"]),
    ("zstd.h", ["mod/zstd.*"]),
    ("jansson.h", ["observe/*", "conf/json.*"]),
]


class TableError(Exception):
    """The table of edges cannot be read."""


def expand(pattern):
    """a/{b,c}.h -> a/b.h, a/c.h"""
    m = re.search(r"\{([^{}]*)\}", pattern)
    if not m:
        return [pattern]
    found = []
    for part in m.group(1).split(","):
        found += expand(pattern[:m.start()] + part.strip() + pattern[m.end():])
    return found


def read_cell(cell):
    """(folders, patterns) of a cell of the table; None for everything."""
    cell = re.sub(r"\([^)]*\)", "", cell).strip()
    if cell.startswith("everything"):
        return None
    folders, patterns = set(), []
    for item in re.findall(r"`[^`]*`|\w+", re.sub(r"without\s+`[^`]*`", "", cell)):
        if item.startswith("`"):
            patterns += expand(item.strip("`"))
        elif item in csrc.FOLDERS:
            folders.add(item)
        elif item != "only":
            raise TableError("unknown word \"%s\" in the table of floors" % item)
    return folders, patterns


def read_table(text):
    """{folder: (folders, patterns) or None} from the text of the architecture."""
    m = re.search(r"^\|\s*folder\s*\|\s*may include\s*\|\s*\n\|[-| :]+\|\s*\n((?:\|.*\n?)+)", text, re.M)
    if not m:
        raise TableError("no table \"| folder | may include |\" found")
    table = {}
    for row in m.group(1).splitlines():
        cells = re.split(r"(?<!\\)\|", row.strip().strip("|"), 1)
        table[cells[0].strip().strip("`")] = read_cell(cells[1])
    return table


def may_include(table, folder, name):
    """Whether a file in `folder` may include "name"."""
    target = name.split("/")[0]
    if target == folder:
        return True
    row = table[folder]
    if row is None:
        return True
    folders, patterns = row
    return target in folders or any(fnmatch.fnmatchcase(name, p) for p in patterns)


def is_one_of(name, patterns):
    return any(fnmatch.fnmatchcase(name, p) for p in patterns)


def reach(graph, name, seen):
    """All files that `name` includes, directly or not."""
    for _, target in graph.get(name, []):
        if target not in seen:
            seen.add(target)
            reach(graph, target, seen)
    return seen


def check_includes(report, table, src, name, known):
    """The quoted includes of one file."""
    folder = src.folder
    for line, kind, target in src.includes():
        if kind == "<":
            for header, owners in LIBRARIES:
                if fnmatch.fnmatchcase(target, header) and not is_one_of(name, owners):
                    report.add(src.path, line, "library",
                               "<%s> belongs to %s" % (target, ", ".join(owners)))
            if target in EVENT_HEADERS and folder not in ("event", "main"):
                report.add(src.path, line, "syscall", "<%s> belongs to event/" % target)
            if folder == "conf" and target in CONF_HEADERS:
                report.add(src.path, line, "syscall", "conf/ touches no files: <%s>" % target)
            continue
        if target not in known:
            why = "does not exist" if "/" in target else "is not relative to src/"
            report.add(src.path, line, "path", "\"%s\" %s" % (target, why))
            continue
        if target.endswith("_int.h") and target.split("/")[0] != folder:
            report.add(src.path, line, "private", "\"%s\" is private to its folder" % target)
        elif not may_include(table, folder, target):
            report.add(src.path, line, "layer", "%s/ may not include \"%s\"" % (folder, target))


def check_calls(report, src, name):
    """System calls of one file."""
    owner = is_one_of(name, SYSCALL_OWNERS)
    for m in re.finditer(r"(?<![\w.])(?<!->)([a-z_]\w*)\s*\(", src.plain):
        word = m.group(1)
        # `int read(...)` with a type in front would be a declaration; we have none of those names.
        if word in EVENT_CALLS:
            if src.folder != "event":
                report.add(src.path, src.line(m.start(1)), "syscall", "%s() belongs to event/" % word)
        elif word == "write" and is_one_of(name, LAST_WORDS):
            continue
        elif word in ALLOCATOR_CALLS and is_one_of(name, ALLOCATORS):
            continue
        elif word in SYSCALLS and not owner:
            report.add(src.path, src.line(m.start(1)), "syscall",
                       "%s() outside the files that make system calls" % word)


def check_codecs(report, sources, graph):
    for name, src in sources.items():
        if not is_one_of(name, CODECS):
            continue
        for target in sorted(reach(graph, name, set())):
            if target.split("/")[0] in CODEC_NEVER and not is_one_of(target, CODECS):
                report.add(src.path, 1, "layer", "a codec reaches \"%s\"" % target)


def run(root):
    doc = os.path.join(root, "docs", "architecture.md")
    if not os.path.exists(doc):
        doc = os.path.join(root, "tools", "floors.md")
    try:
        with open(doc, encoding="utf-8") as f:
            table = read_table(f.read())
    except (OSError, TableError) as e:
        print("layers: %s: %s" % (doc, e))
        return 1
    sources = {}
    for path in csrc.find_files(root, ["src"]):
        sources[path[len("src/"):]] = csrc.Source(root, path)
    graph = {}
    for name, src in sources.items():
        graph[name] = [(line, t) for line, kind, t in src.includes() if kind == '"' and t in sources]
    report = csrc.Report(RULES)
    for name, src in sources.items():
        report.begin(src)
        if src.folder not in table:
            report.add(src.path, 1, "layer", "the folder is not in the table of floors")
            continue
        check_includes(report, table, src, name, sources)
        check_calls(report, src, name)
    check_codecs(report, sources, graph)
    return report.finish("layers", len(sources))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--root", default=os.path.join(os.path.dirname(__file__), ".."))
    return run(os.path.normpath(ap.parse_args().root))


if __name__ == "__main__":
    sys.exit(main())
