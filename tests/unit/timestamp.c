/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/timestamp.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define UNTOUCHED INT64_C(-4242)
#define SECOND INT64_C(1000000)

static void accepts(const char *text, int64_t wanted_us)
{
    int64_t us = UNTOUCHED;
    cr_expect(fp_timestamp_parse(fp_slice_of(text), &us), "%s was refused", text);
    cr_expect_eq(us, wanted_us, "%s gave %" PRId64, text, us);
}

static void refuses(const char *text)
{
    int64_t us = UNTOUCHED;
    cr_expect_not(fp_timestamp_parse(fp_slice_of(text), &us), "%s was accepted", text);
    cr_expect_eq(us, UNTOUCHED, "%s changed the result", text);
}

Test(timestamp, accepts_rfc_3339)
{
    accepts("1970-01-01T00:00:00Z", 0);
    accepts("1970-01-01t00:00:01z", SECOND);
    accepts("2026-03-02T11:04:09.120Z", INT64_C(1772449449120000));
    accepts("2026-03-02T12:04:09.12+01:00", INT64_C(1772449449120000));
    accepts("2026-03-02T05:34:09.120000-05:30", INT64_C(1772449449120000));
    accepts("2026-03-02T11:04:09-00:00", INT64_C(1772449449000000));
    accepts("2026-03-03T11:03:09+23:59", INT64_C(1772449449000000));
    accepts("2000-02-29T00:00:00Z", INT64_C(951782400) * SECOND);
    accepts("9999-12-31T23:59:59.999999Z", FP_TIMESTAMP_MAX);
    accepts("1969-12-31T23:00:00-01:00", 0); /* the instant counts, not the local year */
}

Test(timestamp, cuts_what_is_finer_than_a_microsecond)
{
    accepts("1970-01-01T00:00:00.1Z", 100000);
    accepts("1970-01-01T00:00:00.000001Z", 1);
    accepts("1970-01-01T00:00:00.0000019Z", 1);
    accepts("1970-01-01T00:00:00.9999999999999999999999999Z", 999999);
    accepts("9999-12-31T23:59:59.9999999Z", FP_TIMESTAMP_MAX);
}

Test(timestamp, refuses_everything_else)
{
    static const char *const texts[] = {
        "", "T", "0", "1772449449", "1772449449120", "2026", "2026-03-02", "20260302T110409Z",
        "2026-03-02T11:04:09",        /* no offset: whose time? */
        "2026-03-02 11:04:09Z",       /* a blank */
        "2026-03-02T11:04Z", "2026-03-02T11Z", "2026-03-02T11:04:09.Z", "2026-03-02T11:04:09,5Z",
        "2026-03-02T11:04:09+0100", "2026-03-02T11:04:09+01", "2026-03-02T11:04:09+1:00",
        "2026-03-02T11:04:09+24:00", "2026-03-02T11:04:09+01:60", "2026-03-02T11:04:09 +01:00",
        "2026-03-02T11:04:09Z ", " 2026-03-02T11:04:09Z", "2026-03-02T11:04:09ZZ",
        "2026-03-02T24:00:00Z", "2026-03-02T11:60:09Z", "2026-03-02T11:04:61Z",
        "2026-3-02T11:04:09Z", "2026-03-2T11:04:09Z", "02026-03-02T11:04:09Z",
        "2026-00-02T11:04:09Z", "2026-13-02T11:04:09Z", "2026-03-00T11:04:09Z",
        "2026-03-32T11:04:09Z", "2026-04-31T11:04:09Z", "2026-02-29T11:04:09Z",
        "2100-02-29T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "-2026-03-02T11:04:09Z",
        "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01", "2026-W10-1T11:04:09Z",
        "2026-03-02T11:04:09UTC", "2026-03-02T-1:04:09Z", "2026-03-02T11:04:+9Z",
        "2026\342\200\22003-02T11:04:09Z", "2026-03-02T11:04:09[Europe/Berlin]", "now",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        refuses(texts[i]);
    int64_t us = UNTOUCHED;
    cr_expect_not(fp_timestamp_parse((struct fp_slice){0}, &us));
    cr_expect_not(fp_timestamp_parse((struct fp_slice){"2026-03-02T11:04:09Z\0", 21}, &us));
}

Test(timestamp, refuses_every_shorter_piece)
{
    static const char whole[] = "2026-03-02T11:04:09.120+01:00";
    int64_t us = UNTOUCHED;
    for (uint32_t len = 0; len < sizeof whole - 1; len++)
        cr_expect_not(fp_timestamp_parse((struct fp_slice){whole, len}, &us), "%.*s", (int)len,
                      whole);
    cr_expect(fp_timestamp_parse((struct fp_slice){whole, sizeof whole - 1}, &us));
}

/* Any one character put in place of another must either mean something or be refused. */
Test(timestamp, accepts_no_stray_character)
{
    static const char strays[] = "\x01 /:;-+.TtZz@GA\x7F\xB2";
    static const char whole[] = "2026-03-02T11:04:09.120+01:00";
    for (size_t i = 0; i < sizeof whole - 1; i++) {
        for (size_t k = 0; k < sizeof strays - 1; k++) {
            char text[sizeof whole];
            memcpy(text, whole, sizeof whole);
            text[i] = strays[k];
            bool meant = text[i] == whole[i] || (i == 10 && text[i] == 't') ||
                         (i == 23 && text[i] == '-');
            int64_t us;
            cr_expect_eq(fp_timestamp_parse(fp_slice_of(text), &us), meant, "%s", text);
        }
    }
}

Test(timestamp, leap_seconds_only_at_the_end_of_a_month_utc)
{
    accepts("2016-12-31T23:59:60Z", INT64_C(1483228799999999));
    accepts("2016-12-31T23:59:60.5Z", INT64_C(1483228799999999));
    accepts("2017-01-01T00:59:60+01:00", INT64_C(1483228799999999));
    accepts("2016-12-31T18:29:60-05:30", INT64_C(1483228799999999));
    accepts("2015-06-30T23:59:60Z", INT64_C(1435708799999999));
    accepts("2024-02-29T23:59:60Z", INT64_C(1709251199999999));
    refuses("2016-12-31T23:59:60+01:00"); /* 22:59:60 UTC */
    refuses("2016-12-31T22:59:60Z");
    refuses("2016-12-31T23:58:60Z");
    refuses("2016-12-30T23:59:60Z");
    refuses("2024-02-28T23:59:60Z");
    refuses("1970-01-01T00:00:60Z");
}

/* Every day of eight thousand years against the C library, at the last second of the day. */
Test(timestamp, every_day_agrees_with_the_c_library)
{
    int32_t wanted = 0;
    for (int year = 1970; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};
            cr_assert_eq(timegm(&tm) / 86400, wanted, "%d-%d", year, month);
            for (int day = 1; day <= 31; day++) {
                char text[64];
                snprintf(text, sizeof text, "%04d-%02d-%02dT23:59:59Z", year, month, day);
                struct fp_slice date = {text, 10};
                struct tm same = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
                if (day > 28) {
                    timegm(&same); /* moves 30 February on to March */
                    int32_t days;
                    cr_assert_eq(fp_date_parse(date, &days), same.tm_mon == month - 1, "%s", text);
                    if (same.tm_mon != month - 1)
                        break;
                }
                int32_t days = -1;
                int64_t us = -1;
                cr_assert(fp_date_parse(date, &days) && days == wanted, "%s", text);
                cr_assert_eq(fp_days_from_civil(year, month, day), wanted, "%s", text);
                cr_assert(fp_timestamp_parse(fp_slice_of(text), &us));
                cr_assert_eq(us, (wanted * INT64_C(86400) + 86399) * SECOND, "%s", text);
                wanted++;
            }
        }
    }
    cr_expect_eq(wanted, (FP_TIMESTAMP_MAX + 1) / (86400 * SECOND));
}

Test(timestamp, every_offset_is_taken_off)
{
    for (int minutes = -1439; minutes <= 1439; minutes++) {
        char text[40];
        int size = minutes < 0 ? -minutes : minutes;
        snprintf(text, sizeof text, "2026-03-02T12:00:00%c%02d:%02d", minutes < 0 ? '-' : '+',
                 size / 60, size % 60);
        accepts(text, INT64_C(1772452800) * SECOND - minutes * 60 * SECOND);
    }
}

Test(timestamp, dates)
{
    int32_t days = -7;
    cr_expect(fp_date_parse(fp_slice_of("2026-04-06"), &days));
    cr_expect_eq(days, 20549);
    days = -7;
    static const char *const bad[] = {"",           "2026-04-6",   "2026-4-06",  "20260406",
                                      "2026-04-31", "2026-02-29",  "1969-12-31", "2026-04-06T",
                                      "2026-04-06 ", "10000-01-01", "2026/04/06", "0000-00-00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(fp_date_parse(fp_slice_of(bad[i]), &days), "%s", bad[i]);
    cr_expect_not(fp_date_parse((struct fp_slice){0}, &days));
    cr_expect_eq(days, -7);
}
