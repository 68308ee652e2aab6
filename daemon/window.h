/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ids of a partition's recent records, to recognise duplicates of events.
 *
 * A record at offset o is a duplicate when the same id was accepted at an offset in [o − size, o).
 * So the answer is a function of the log (and of which offsets were rejected, which the database
 * holds): it is rebuilt by reading the log again, never stored.
 * Ids are 64-bit keyed hashes: a false duplicate has probability 1.4e-14 at 250,000 ids.
 * Memory: 32 bytes an id at most, grown as needed. Threads: none; caller serialises. */
#ifndef FP_WINDOW_H
#define FP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/status.h"

struct fp_window;

struct fp_window *fp_window_new(int64_t size); /* offsets; NULL: no memory */
void fp_window_free(struct fp_window *window);
void fp_window_clear(struct fp_window *window);

/* Offsets must not decrease between calls. Returns whether the id is a duplicate, and remembers it
 * at this offset either way. Out of memory ends the process: the answer would be wrong. */
bool fp_window_seen(struct fp_window *window, uint64_t hash, int64_t offset);
/* Takes back the id remembered last, which was new: its record was not accepted after all. */
void fp_window_forget_last(struct fp_window *window);

#endif
