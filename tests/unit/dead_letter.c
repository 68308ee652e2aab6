/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/dead_letter.h"

#include <criterion/criterion.h>

static const struct fp_header headers[] = {{"content-type", "application/json", 16},
                                           {"fp_topic", "in", 2},
                                           {"fp_partition", "3", 1},
                                           {"fp_offset", "42", 2},
                                           {"fp_reason", "bad_json", 8},
                                           {"fp_field", "data.x", 6},
                                           {"fp_key", "c-1", 3},
                                           {"trace", NULL, 0}};
static const struct fp_record letter_record = {.topic = "dead",
                                               .key = "in/3/42",
                                               .key_len = 7,
                                               .value = "{",
                                               .len = 1,
                                               .headers = headers,
                                               .header_count = 8,
                                               .timestamp_ms = 5};

Test(dead_letter, says_where_and_why)
{
    struct fp_dead_letter letter;
    cr_assert(fp_dead_letter_read(&letter_record, &letter));
    cr_assert(fp_slice_is(letter.topic, "in"));
    cr_assert(fp_slice_is(letter.offset, "42"));
    cr_assert(fp_slice_is(letter.reason, "bad_json"));
    cr_assert(fp_slice_is(letter.field, "data.x"));
    cr_assert_null(letter.detail.at);
}

Test(dead_letter, the_original_has_its_key_and_only_its_own_headers)
{
    struct fp_dead_letter letter;
    struct fp_header room[8];
    struct fp_record original;
    cr_assert(fp_dead_letter_read(&letter_record, &letter));
    fp_dead_letter_original(&letter_record, &letter, room, &original);
    cr_assert_eq(original.key_len, 3u);
    cr_assert_arr_eq(original.key, "c-1", 3);
    cr_assert_eq(original.header_count, 2u);
    cr_assert_str_eq(original.headers[0].name, "content-type");
    cr_assert_str_eq(original.headers[1].name, "trace");
    cr_assert_eq(original.len, 1u);
}

Test(dead_letter, any_other_record_is_none)
{
    struct fp_dead_letter letter;
    struct fp_record plain = letter_record;
    plain.header_count = 1;
    cr_assert_not(fp_dead_letter_read(&plain, &letter));
}
