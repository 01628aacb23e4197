#!/usr/bin/env python3
"""Judges a run of Autobahn: reads index.json, prints how often each verdict was given and a table of the cases that
failed, then a line with the totals. A case that was asked for and did not run has failed.

Usage: check.py SPEC INDEX"""

import collections
import json
import re
import sys

# Autobahn's verdicts that are no violation. NON-STRICT: the violation was seen later than at the first wrong byte.
# INFORMATIONAL: there is no right and wrong.
GOOD_BEHAVIOUR = {"OK", "NON-STRICT", "INFORMATIONAL"}
GOOD_CLOSE = {"OK", "INFORMATIONAL"}

# How many cases version 25.10.1 has in each group. A run that ends early must not pass.
CASES = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}


def main(spec_path, index_path):
    with open(spec_path) as file:
        asked = json.load(file)["cases"]
    try:
        with open(index_path) as file:
            (results,) = json.load(file).values()
    except (OSError, ValueError) as error:
        sys.exit(f"no report of one server in {index_path}: {error}")

    for name in ("behavior", "behaviorClose"):
        counts = collections.Counter(result[name] for result in results.values())
        print(f"{name:14}" + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))

    bad = {case: result for case, result in results.items() if not is_good(result)}
    if bad:
        print(f"\n{'case':10} {'behavior':16} {'behaviorClose':16} close code")
    for case in sorted(bad, key=lambda case: [int(number) for number in re.findall(r"\d+", case)]):
        result = bad[case]
        print(f"{case:10} {result['behavior']:16} {result['behaviorClose']:16} {result['remoteCloseCode']}")

    ran = collections.Counter(case.split(".")[0] for case in results)
    groups = [pattern.removesuffix(".*") for pattern in asked]
    missing = {group: CASES.get(group, ran[group]) - ran[group] for group in groups}
    for group in filter(missing.get, missing):
        print(f"{group}.*: {missing[group]} of {CASES[group]} cases did not run")
    failed = len(bad) + sum(missing.values())
    print(f"\n{len(results) - len(bad)} passed, {failed} failed")
    return 1 if failed or not results else 0


def is_good(result):
    return result["behavior"] in GOOD_BEHAVIOUR and result["behaviorClose"] in GOOD_CLOSE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
