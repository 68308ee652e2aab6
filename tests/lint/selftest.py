#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provokes every rule of the lint on a planted tree, and sees that a clean tree passes."""

import os
import subprocess
import sys
import tempfile

import lint
import rules

HEAD = rules.SPDX + "\n"
LONG_BODY = "".join(f"    x += {i};\n" for i in range(80))

# rule, path, text that must be found
PLANTED = [
    ("include_direction", "analytics/a.c", HEAD + '#include "daemon/status.h"\n'),
    ("include_direction", "daemon/a.c", HEAD + '#include "tests/a.h"\n'),
    ("include_direction", "daemon/b.c", HEAD + '#include "status.h"\n'),
    ("include_direction", "daemon/c.c", HEAD + "#include <daemon/status.h>\n"),
    ("owner", "daemon/d.c", HEAD + "#include <librdkafka/rdkafka.h>\n"),
    ("owner", "daemon/e.c", HEAD + "#include <libpq-fe.h>\n"),
    ("owner", "daemon/kafka_x.c", HEAD + "#include <cjson/cJSON.h>\n"),
    ("owner", "daemon/f.cpp", HEAD + "#include <simdjson.h>\n"),
    ("owner", "daemon/g.c", HEAD + "#include <microhttpd.h>\n"),
    ("owner", "daemon/push_x.c", HEAD + "#include <curl/curl.h>\n"),
    ("function_lines", "daemon/h.c",
     HEAD + "int fp_h(int x)\n{\n" + LONG_BODY + "    return x;\n}\n"),
    ("parameters", "daemon/i.c",
     HEAD + "int fp_i(int a, int b, int c, int d, int e, int f, int (*g)(int, int))\n"
     "{\n    return a + b + c + d + e + f + g(1, 2);\n}\n"),
    ("file_lines", "daemon/j.c", HEAD + "/* a\n *\n * b */\n" + "int fp_j;\n" * 701),
    ("width", "analytics/b.c", HEAD + "/* " + "x" * 100 + " */\n"),
    ("width", "tests/a.py", "if True:\n\tpass\n"),
    ("width", "tests/b.py", "x = 1 \n"),
    ("spdx", "analytics/c.h", "/* no licence line */\n"),
    ("spdx", "daemon/k.c", "\n" + HEAD),
    ("design_comment", "daemon/l.c", HEAD + "#include <stdio.h>\n" + "extern int fp_l;\n" * 160),
    ("readme", "schemas/a.sql", "SELECT 1;\n"),
    ("readme", "tests/unnamed.txt", "not in the README\n"),
    ("places", "tests/c.py", "x = '/" + "home/someone/x'\n"),
    ("places", "tests/d.txt", "see pypi" + ".org\n"),
    ("shell", "tests/e", "#!/usr/bin/env bash\nrm $1\n"),
]

CLEAN = {
    "README.md": "# Clean\n",
    "analytics/README.md": "`sum.c`, `sum.h`, `[a-c].*`\n",
    "analytics/sum.h": HEAD + "int cx_sum(int a, int b);\n",
    "analytics/sum.c": HEAD + '#include "analytics/sum.h"\n\n#include <math.h>\n\n'
                       "int cx_sum(int a, int b)\n{\n    return a + b;\n}\n",
    "daemon/README.md": "`main.c`, `pg.c` and `?.{c,cpp}`, `kafka_x.c`\n",
    "daemon/main.c": HEAD + '#include "analytics/sum.h"\n\nint main(void)\n{\n'
                     "    return cx_sum(0, 0);\n}\n",
    "daemon/pg.c": HEAD + "#include <libpq-fe.h>\n",
    "tests/README.md": "`?.py`, `a`, `d.txt`, `e`, `<name>/valid.*`\n",
    "tests/x/valid.json": "{}\n",
    "tests/a": '#!/usr/bin/env bash\nrm "$1"\n',
}

# rule, folder, text of a C file whose archive must be found
PLANTED_CODE = [
    ("pure", "analytics", "#include <stdlib.h>\nvoid *cx_a(void) { return malloc(1); }\n"),
    ("pure", "analytics", "#include <time.h>\nlong cx_a(void) { return time(0); }\n"),
    ("pure", "analytics", "#include <stdio.h>\nvoid cx_a(int x) { printf(\"%d\", x); }\n"),
    ("pure", "analytics",
     "#include <pthread.h>\nint cx_a(pthread_mutex_t *m) { return pthread_mutex_lock(m); }\n"),
    ("pure", "analytics", "#include <math.h>\ndouble cx_a(double x) { return lgamma(x); }\n"),
    ("no_statics", "analytics", "static int n;\nint cx_a(void) { return ++n; }\n"),
    ("no_statics", "analytics", "int cx_a(void) { static int n = 7; return n *= 3; }\n"),
    ("no_statics", "analytics", "_Thread_local int cx_n;\nint cx_a(void) { return ++cx_n; }\n"),
    ("prefix", "analytics", "int fp_a(void) { return 1; }\n"),
    ("prefix", "daemon", "int helper(void) { return 1; }\n"),
]
CLEAN_CODE = {
    "analytics": "#include <math.h>\n#include <string.h>\nstatic const double t[] = {1, 2};\n"
                 "static const char *const names[] = {\"a\", \"b\"};\n"
                 "double cx_a(double *x, int n) { memset(x, 0, sizeof *x * (unsigned)n);\n"
                 "return exp(x[0]) + t[n % 2] + names[n % 2][0]; }\n",
    "daemon": "int fp_a(void);\nstatic int helper(void) { return 1; }\n"
              "int fp_a(void) { return helper(); }\n",
}

failures = []


def expect(what, condition):
    print(f"{'ok  ' if condition else 'FAIL'} {what}")
    if not condition:
        failures.append(what)


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def archive(root, folder, text):
    source, thing = os.path.join(root, f"{folder}.c"), os.path.join(root, f"{folder}.o")
    made = os.path.join(root, f"lib{folder}.a")
    write(root, f"{folder}.c", text)
    subprocess.run(["cc", "-O1", "-fPIC", "-c", source, "-o", thing], check=True)
    if os.path.exists(made):
        os.remove(made)
    subprocess.run(["ar", "rc", made, thing], check=True)
    return made


def test_files():
    with tempfile.TemporaryDirectory() as root:
        for path, text in CLEAN.items():
            write(root, path, text)
        left = list(lint.findings(root))
        expect(f"a clean tree has no finding {[str(f) for f in left]}", not left)
        for rule, path, text in PLANTED:
            write(root, path, text)
            found = {f.rule for f in lint.findings(root)
                     if f.path in (path, os.path.dirname(path)) or os.path.basename(path) in f.text}
            os.remove(os.path.join(root, path))
            expect(f"{rule}: {path}", rule in found)


def test_symbols():
    with tempfile.TemporaryDirectory() as root:
        clean = {folder: archive(root, folder, text) for folder, text in CLEAN_CODE.items()}
        left = [f for rule in rules.SYMBOL_RULES for f in rule(clean["analytics"], clean["daemon"])]
        expect(f"clean archives have no finding {[str(f) for f in left]}", not left)
    for rule, folder, text in PLANTED_CODE:
        with tempfile.TemporaryDirectory() as root:
            made = {f: archive(root, f, text if f == folder else clean_text)
                    for f, clean_text in CLEAN_CODE.items()}
            found = {f.rule for rule_of in rules.SYMBOL_RULES
                     for f in rule_of(made["analytics"], made["daemon"])}
            expect(f"{rule}: {text.splitlines()[-1]}", rule in found)


def test_exit_codes():
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lint.py")
    for path, code in (("analytics/sum.c", 0), ("daemon/bad.c", 1)):
        with tempfile.TemporaryDirectory() as root:
            for name, text in (CLEAN | {path: CLEAN.get(path, "int x;\n")}).items():
                write(root, name, text)
            done = subprocess.run([sys.executable, program, root], capture_output=True, text=True)
            expect(f"exit code {code} with {path}", done.returncode == code)


test_files()
test_symbols()
test_exit_codes()
print(f"selftest: {len(failures)} failed")
sys.exit(1 if failures else 0)
