/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pseudonyms: HMAC-SHA-256 of a subject with a key from a file. The subject itself is never kept.
 * Threads: immutable after opening, except that computing needs one handle per thread. */
#ifndef FP_SUBJECT_H
#define FP_SUBJECT_H

#include <stdint.h>

#include "daemon/slice.h"
#include "daemon/status.h"

#define FP_PSEUDONYM_LEN 32

struct fp_subject_key;

/* The key is the file's bytes without trailing white space: at least 16. path NULL or "": FP_OK
 * with *key NULL, and subjects are then not stored at all. */
enum fp_status fp_subject_key_open(const char *path, struct fp_subject_key **key,
                                   struct fp_error *err) FP_MUST_CHECK;
void fp_subject_key_free(struct fp_subject_key *key);
/* False (out untouched) when key is NULL or the subject is absent. */
bool fp_subject_pseudonym(struct fp_subject_key *key, struct fp_slice subject,
                          uint8_t out[FP_PSEUDONYM_LEN]);

#endif
