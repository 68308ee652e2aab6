/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/subject.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct fp_subject_key *key_of(const char *text, enum fp_status *status, struct fp_error *err)
{
    char path[] = "/tmp/flightpath-key-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    struct fp_subject_key *key = NULL;
    *status = fp_subject_key_open(path, &key, err);
    unlink(path);
    return key;
}

/* RFC 4231, test case 6: a key of 131 bytes 0xaa. */
Test(subject, is_hmac_sha_256)
{
    static const uint8_t expected[FP_PSEUDONYM_LEN] = {
        0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f, 0x0d, 0x8a, 0x26,
        0xaa, 0xcb, 0xf5, 0xb7, 0x7f, 0x8e, 0x0b, 0xc6, 0x21, 0x37, 0x28,
        0xc5, 0x14, 0x05, 0x46, 0x04, 0x0f, 0x0e, 0xe3, 0x7f, 0x54};
    char key_text[132];
    memset(key_text, 0xaa, 131);
    key_text[131] = '\0';
    enum fp_status status;
    struct fp_error err;
    struct fp_subject_key *key = key_of(key_text, &status, &err);
    uint8_t out[FP_PSEUDONYM_LEN];
    cr_assert_eq(status, FP_OK);
    cr_assert(fp_subject_pseudonym(
        key, fp_slice_of("Test Using Larger Than Block-Size Key - Hash Key First"), out));
    cr_assert_arr_eq(out, expected, sizeof out);
    cr_assert(fp_subject_pseudonym(
                  key, fp_slice_of("Test Using Larger Than Block-Size Key - Hash Key First"), out),
              "again");
    cr_assert_arr_eq(out, expected, sizeof out);
    fp_subject_key_free(key);
}

Test(subject, trailing_newline_is_not_part_of_the_key)
{
    enum fp_status status;
    uint8_t a[FP_PSEUDONYM_LEN], b[FP_PSEUDONYM_LEN];
    struct fp_subject_key *one = key_of("0123456789abcdef0", &status, NULL);
    struct fp_subject_key *two = key_of("0123456789abcdef0\r\n", &status, NULL);
    cr_assert(fp_subject_pseudonym(one, fp_slice_of("c-1"), a) &&
              fp_subject_pseudonym(two, fp_slice_of("c-1"), b));
    cr_assert_arr_eq(a, b, sizeof a);
    fp_subject_key_free(one);
    fp_subject_key_free(two);
}

Test(subject, short_or_missing_keys_are_refused_with_a_mend)
{
    enum fp_status status;
    struct fp_error err;
    struct fp_subject_key *key = key_of("short", &status, &err);
    cr_assert_eq(status, FP_FATAL);
    cr_assert_null(key);
    cr_assert(strstr(err.what, "openssl rand"), "%s", err.what);
    cr_assert_eq(fp_subject_key_open("/does/not/exist", &key, &err), FP_FATAL);
    cr_assert(strstr(err.what, "cannot be read"), "%s", err.what);
}

Test(subject, no_key_no_pseudonym)
{
    struct fp_subject_key *key;
    uint8_t out[FP_PSEUDONYM_LEN];
    cr_assert_eq(fp_subject_key_open("", &key, NULL), FP_OK);
    cr_assert_null(key);
    cr_assert_not(fp_subject_pseudonym(key, fp_slice_of("c-1"), out));
}
