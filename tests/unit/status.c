/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, carries_code_place_and_sentence)
{
    struct fp_error err;
    cr_assert_eq(fp_fail(&err, FP_REJECT, "too_long", "data.x", "%d bytes", 7), FP_REJECT);
    cr_assert_str_eq(err.code, "too_long");
    cr_assert_str_eq(err.where, "data.x");
    cr_assert_str_eq(err.what, "7 bytes");
    cr_assert_eq(fp_fail(NULL, FP_RETRY, "x", "", "y"), FP_RETRY, "no place to write is fine");
}

Test(status, control_characters_become_blanks)
{
    struct fp_error err;
    (void)fp_fail(&err, FP_REJECT, "x", "a\x1b[31m\nb\x7f", "y");
    cr_assert_str_eq(err.where, "a [31m b ");
}

/* However long a name is cut, no half of a character is left: PostgreSQL would refuse it. */
Test(status, never_ends_inside_a_character)
{
    struct fp_error err;
    char text[400];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'a', lead);
        for (size_t i = lead; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x98\x80", 5);
        (void)fp_fail(&err, FP_REJECT, "x", text, "%s", text);
        cr_assert_eq((strlen(err.where) - lead) % 4, 0u);
        cr_assert_eq((strlen(err.what) - lead) % 4, 0u);
    }
    (void)fp_fail(&err, FP_REJECT, "x", "caf\xc3", "%.*s rest", 4, "caf\xc3\xa9");
    cr_assert_str_eq(err.where, "caf?");
    cr_assert_str_eq(err.what, "caf? rest");
}
