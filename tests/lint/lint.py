#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""lint.py ROOT [--analytics ARCHIVE --daemon ARCHIVE]: checks the house rules of rules.py.

Prints every finding; exit code 1 when a hard rule is broken. The archives must be of a build
without sanitizers or coverage, which add symbols of their own.
"""

import argparse
import sys

import rules


def findings(root, analytics=None, daemon=None):
    tree = rules.Tree(root)
    for rule in rules.RULES:
        yield from rule(tree)
    if analytics and daemon:
        for rule in rules.SYMBOL_RULES:
            yield from rule(analytics, daemon)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--analytics", help="libanalytics.a")
    parser.add_argument("--daemon", help="libdaemon.a")
    arguments = parser.parse_args()
    found = list(findings(arguments.root, arguments.analytics, arguments.daemon))
    for finding in found:
        print(finding if finding.hard else f"{finding} (report)")
    broken = sum(f.hard for f in found)
    print(f"lint: {broken} broken, {len(found) - broken} reported")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
