#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy with our checks: tools/tidy.sh FLAGS... -- FILE...
set -eu
flags=
while [ "$1" != -- ]; do
    flags="$flags $(printf '%s' "$1" | sed "s/[^A-Za-z0-9_=/.,-]/\\\\&/g")"
    shift
done
shift
checks='-*,bugprone-*,clang-analyzer-*,misc-header-include-cycle'
checks="$checks,readability-inconsistent-declaration-parameter-name"
# Not ours: neighbours of one type are what table calls look like; macros are X-macro arguments;
# the C11 Annex K functions do not exist here; reserved names are told by the compiler.
checks="$checks,-bugprone-easily-swappable-parameters,-bugprone-macro-parentheses"
checks="$checks,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling"
checks="$checks,-bugprone-reserved-identifier,-bugprone-assignment-in-if-condition"
# Slices are not zero-terminated; -Wconversion tells what narrowing matters; clang-tidy 14 loses
# va_start from the second file of a run on.
checks="$checks,-bugprone-not-null-terminated-result,-bugprone-narrowing-conversions"
checks="$checks,-clang-analyzer-valist.Uninitialized"
eval "exec clang-tidy --quiet --checks='$checks' --warnings-as-errors='*' \"\$@\" -- $flags"
