# SPDX-License-Identifier: GPL-3.0-or-later
"""The house rules, one function each: given a tree, they yield findings.

A rule is hard unless its findings say otherwise: those are printed and do not fail. To add one:
write the function, put it into RULES (or SYMBOL_RULES, which look at the archives), provoke it in
selftest.py.
"""

import fnmatch
import os
import re
import subprocess
from dataclasses import dataclass

C_SUFFIXES = (".c", ".h", ".cpp")
SKIPPED_FOLDERS = {".git", "__pycache__", ".cache", ".venv", "node_modules"}
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
PARAMETERS_MAX = 6
WIDTH_MAX = 100
DESIGN_COMMENT_FROM = 150  # a .c above this many lines opens with one
DESIGN_COMMENT_LENGTH = 80  # characters


@dataclass
class Finding:
    rule: str
    path: str
    line: int
    text: str
    hard: bool = True

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class Tree:
    """The files under a root; texts are read once."""

    def __init__(self, root):
        self.root = root
        self.paths = sorted(self._walk())
        self._texts = {}

    def _walk(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders
                          if f not in SKIPPED_FOLDERS and not f.startswith("build")]
            for name in files:
                if not name.endswith((".pyc", ".o", ".a")):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def lines(self, path):
        return enumerate(self.text(path).splitlines(), 1)

    def c_files(self, *folders):
        return [p for p in self.paths if p.endswith(C_SUFFIXES)
                and (not folders or p.split(os.sep)[0] in folders)]

    def scripts(self, shebang):
        return [p for p in self.paths if self.text(p).startswith(f"#!/usr/bin/env {shebang}")]


# ---- includes ------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
MAY_INCLUDE = {"analytics": ("analytics/",), "daemon": ("daemon/", "analytics/"),
               "tests": ("tests/", "daemon/", "analytics/")}
OWNERS = {  # header: the files of daemon/ that may include it
    "librdkafka/*": ("daemon/kafka*.c", "daemon/kafka_internal.h"),
    "libpq-fe.h": ("daemon/pg.c",),
    "simdjson.h": ("daemon/json_simdjson.cpp",),
    "cjson/*": ("daemon/model_json.c",),
    "microhttpd.h": ("daemon/http.c",),
    "curl/*": ("daemon/push.c",),
}


def includes(tree, *folders):
    for path in tree.c_files(*folders):
        for number, line in tree.lines(path):
            match = INCLUDE.match(line)
            if match:
                yield path, number, match[1], match[2]


def include_direction(tree):
    """tests → daemon → analytics; own headers by their path from the root."""
    for path, line, mark, name in includes(tree, *MAY_INCLUDE):
        allowed = MAY_INCLUDE[path.split(os.sep)[0]]
        beside = path.startswith("tests/") and "/" not in name
        if mark == '"' and not name.startswith(allowed) and not beside:
            yield Finding("include_direction", path, line,
                          f'"{name}" may not be included here (only {", ".join(allowed)})')
        if mark == "<" and name.startswith(("daemon/", "analytics/")):
            yield Finding("include_direction", path, line, f"write \"{name}\" in quotes")


def owner(tree):
    """One file owns each library of the outside world."""
    for path, line, _, name in includes(tree, "analytics", "daemon"):
        for header, owners in OWNERS.items():
            if fnmatch.fnmatch(name, header) and not any(fnmatch.fnmatch(path, o) for o in owners):
                yield Finding("owner", path, line, f"<{name}> belongs to {' and '.join(owners)}")


# ---- sizes ---------------------------------------------------------------------------------------

def functions(tree):
    """(path, name, first line, last line, parameters) of every function."""
    paths = tree.c_files("analytics", "daemon", "tests")
    if not paths:
        return
    done = subprocess.run(
        ["ctags", "-f", "-", "--languages=C,C++", "--kinds-C=f", "--kinds-C++=f", "--map-C++=+.cpp",
         "--fields=neS", "--sort=no", "-L", "-"], input="\n".join(paths), cwd=tree.root,
        capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        name, path, *rest = line.split("\t")
        fields = dict(f.split(":", 1) for f in rest if re.match(r"(line|end|signature):", f))
        if "end" in fields:
            yield (path, name, int(fields["line"]), int(fields["end"]),
                   parameter_count(fields.get("signature", "()")))


def parameter_count(signature):
    inner = signature.strip()[1:-1].strip()
    if inner in ("", "void"):
        return 0
    depth = count = 0
    for character in inner:
        depth += character in "([{"
        depth -= character in ")]}"
        count += character == "," and depth == 0
    return count + 1


def sizes(tree):
    """Functions, files, parameters."""
    for path, name, first, last, parameters in functions(tree):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield Finding("function_lines", path, first,
                          f"{name} has {last - first + 1} lines; at most {FUNCTION_LINES_MAX}")
        if parameters > PARAMETERS_MAX:
            yield Finding("parameters", path, first,
                          f"{name} has {parameters} parameters; at most {PARAMETERS_MAX}, then a "
                          "struct", hard=False)
    for path in tree.c_files():
        count = tree.text(path).count("\n")
        if count > FILE_LINES_MAX:
            yield Finding("file_lines", path, 1, f"{count} lines; at most {FILE_LINES_MAX}")


def width(tree):
    """Lines of at most 100 characters, no tabs, no trailing blanks: C, Python, shell."""
    paths = set(tree.c_files()) | set(tree.scripts("bash")) | set(tree.scripts("python3"))
    paths |= {p for p in tree.paths if p.endswith(".py")}
    for path in sorted(paths):
        for number, line in tree.lines(path):
            if len(line) > WIDTH_MAX:
                yield Finding("width", path, number, f"{len(line)} characters; at most {WIDTH_MAX}")
            if "\t" in line:
                yield Finding("width", path, number, "a tab; indent with blanks")
            if line != line.rstrip():
                yield Finding("width", path, number, "blanks at the end of the line")


# ---- texts ---------------------------------------------------------------------------------------

SPDX = "/* SPDX-License-Identifier: GPL-3.0-or-later */"


def spdx(tree):
    for path in tree.c_files():
        if not tree.text(path).startswith(SPDX + "\n"):
            yield Finding("spdx", path, 1, f"the first line must be {SPDX}")


def design_comment(tree):
    """A long file opens by saying what it solves and how."""
    for path in tree.c_files("analytics", "daemon"):
        text = tree.text(path)
        if path.endswith(".h") or text.count("\n") <= DESIGN_COMMENT_FROM:
            continue
        head = text.removeprefix(SPDX).lstrip()
        comment = head[:head.find("*/")] if head.startswith("/*") else ""
        if len(comment) < DESIGN_COMMENT_LENGTH:
            yield Finding("design_comment", path, 2,
                          "a file this long opens with a comment: what it solves, how, hazards")


def readme(tree):
    """Each folder has a README.md (its own or a parent's) that names every file, in backticks."""
    readmes = {os.path.dirname(p): p for p in tree.paths if os.path.basename(p) == "README.md"}
    for folder in sorted({p.split(os.sep)[0] for p in tree.paths if os.sep in p}):
        if not folder.startswith(".") and folder != "cmake" and folder not in readmes:
            yield Finding("readme", folder, 1, "the folder has no README.md")
    for path in tree.paths:
        folder = os.path.dirname(path)
        while folder and folder not in readmes:
            folder = os.path.dirname(folder)
        if not folder or path == readmes[folder] or os.path.basename(path) == "README.md":
            continue
        relative = os.path.relpath(path, folder)
        if not any(names(token, relative) for token in tokens(tree.text(readmes[folder]))):
            yield Finding("readme", readmes[folder], 1, f"does not say what `{relative}` is")


def tokens(text):
    """What stands in backticks; `a.{c,h}` is both, `<any>` is a wildcard."""
    for token in re.findall(r"`([^`\n]+)`", text):
        token = re.sub(r"<[^<>]*>", "*", token)
        braces = re.fullmatch(r"([^{}]*)\{([^{}]*)\}([^{}]*)", token)
        if braces:
            yield from (braces[1] + middle.strip() + braces[3] for middle in braces[2].split(","))
        else:
            yield token


def names(token, relative):
    if token.endswith("/"):
        return relative.startswith(token)
    return fnmatch.fnmatch(relative, token) or fnmatch.fnmatch(os.path.basename(relative), token)


# Spelt in pieces, so that this file does not find itself.
PLACES = [re.compile(p) for p in (
    r"(?<![\w.*])/" + r"(work|root|Users|mnt)/", r"(?<![\w.*])/" + r"home/\w",
    "pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "proxy" + r"\.golang",
    "repo1?" + r"\.maven", "deb" + r"\.debian\.org", "crates" + r"\.io", "index" + r"\.docker\.io")]


def places(tree):
    """Nothing of one machine: no private absolute paths, no hosts of package registries."""
    for path in tree.paths:
        if path == "LICENSE":
            continue
        for number, line in tree.lines(path):
            for pattern in PLACES:
                match = pattern.search(line)
                if match:
                    yield Finding("places", path, number, f"belongs to one machine: {match[0]}")


def shell(tree):
    """shellcheck has nothing to say of the scripts."""
    scripts = tree.scripts("bash")
    if not scripts:
        return
    done = subprocess.run(["shellcheck", "-f", "gcc", *scripts], cwd=tree.root, text=True,
                          capture_output=True)
    for line in done.stdout.splitlines():
        path, number, _, text = line.split(":", 3)
        yield Finding("shell", path, int(number), text.strip())


RULES = [include_direction, owner, sizes, width, spdx, design_comment, readme, places, shell]

# ---- symbols of the archives ---------------------------------------------------------------------

PURE = re.compile(
    r"(cx_|gsl_|_?_?(mem|str)(cpy|move|set|cmp|chr|len|ncmp|mem)(_chk)?$"
    r"|__(u?(div|mod)ti3|u?divmodti4|mulo?ti4|mulodi4|(fix|float)\w+)$"
    r"|__stack_chk_fail$|__assert_fail$"
    r"|__cpu_(model|features2|indicator_init)$"
    r"|_GLOBAL_OFFSET_TABLE_$|qsort$|bsearch$|abort$)")
IMPURE_IN_LIBM = {"lgamma", "lgammaf", "gamma", "signgam"}  # they write a global


def symbols(archive, *options):
    done = subprocess.run(["nm", "-A", "-P", *options, archive], capture_output=True, text=True,
                          check=True)
    for line in done.stdout.splitlines():
        # "libx.a[x.o]: name type value size"
        place, _, rest = line.partition("]: ")
        name, kind, *_ = rest.split()
        yield place.rpartition("[")[2], name, kind


def libm_names():
    shown = subprocess.run(["cc", "-print-file-name=libm.so.6"], capture_output=True, text=True,
                           check=True).stdout.strip()
    done = subprocess.run(["nm", "-D", "--defined-only", "-P", shown], capture_output=True,
                          text=True, check=True)
    return {line.split("@")[0].split()[0] for line in done.stdout.splitlines()} - IMPURE_IN_LIBM


def pure(analytics, _daemon):
    """analytics calls its own functions, GSL, libm and memory moves: nothing that allocates, reads
    a clock, prints, locks or opens."""
    libm = libm_names()
    for member, name, _ in symbols(analytics, "-u"):
        if not PURE.match(name) and name not in libm:
            yield Finding("pure", f"analytics/{member}", 1, f"calls {name}; analytics/ is pure")


def no_statics(analytics, _daemon):
    """analytics keeps nothing between calls."""
    done = subprocess.run(["objdump", "-t", analytics], capture_output=True, text=True, check=True)
    member = "?"
    for line in done.stdout.splitlines():
        if ":     file format" in line:
            member = line.split(":")[0]
        match = re.match(r"[0-9a-f]{16} .{5}[^d]. (\S+)\t[0-9a-f]+ +(.*)", line)
        if match and re.match(r"\.(data(?!\.rel\.ro)|bss|tdata|tbss)|\*COM\*", match[1]):
            yield Finding("no_statics", f"analytics/{member}", 1,
                          f"{match[2].split()[-1]} is mutable and outlives the call")


def prefix(analytics, daemon):
    """External symbols: cx_ of analytics, fp_ of the daemon."""
    for archive, folder, wanted in ((analytics, "analytics", "cx_"), (daemon, "daemon", "fp_")):
        for member, name, kind in symbols(archive, "--defined-only"):
            if kind in "TDBRC" and not name.startswith((wanted, "_Z")):
                yield Finding("prefix", f"{folder}/{member}", 1,
                              f"{name} is visible outside; make it static or call it {wanted}…")


SYMBOL_RULES = [pure, no_statics, prefix]
