/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the synchronisation share (watch_sync.h): alerts found in the cells
 * (watch_found.c), alerts stored and everything written (watch_store.c). */
#ifndef FP_WATCH_PARTS_H
#define FP_WATCH_PARTS_H

#include "daemon/watch_explain.h"
#include "daemon/watch_sync.h"

#define FP_WATCH_DEADLINE_MS 60000

/* ---- found (watch_found.c) ------------------------------------------------------------------- */

struct fp_found {
    struct fp_alert alert; /* fingerprint and root are empty until it is matched */
    int joined;            /* place in the list of what it belongs to; its own */
    bool only_stored;      /* goes on if it is stored, is not opened */
    char *reason;          /* of suspect data, else NULL; fp_watch_found_free */
    int stored;            /* place in the stored list, −1 */
    bool skip;             /* neither stored nor to be */
    bool explain;
    enum fp_alert_event event; /* to be sent */
};

struct fp_found_list {
    struct fp_found *at;
    size_t count, capacity;
};

/* Adds what the cells say: changes, missing answers, suspect data. */
void fp_watch_find(const struct fp_watch_work *work, struct fp_found_list *list);
void fp_watch_found_free(struct fp_found_list *list);

/* An alert of a series without anything in it yet. */
struct fp_alert fp_found_blank(const struct fp_watch_work *work,
                               const struct cx_estate_series *series, enum fp_alert_kind kind);
/* As shown: what it is, or why the newest days cannot tell. */
enum fp_alert_state fp_watch_shown_state(const struct cx_estate_series *series, int64_t first,
                                         int32_t day);
/* First day after `start` that answers came and were not suspect; `day` if none. */
int32_t fp_watch_answers_again(const struct fp_watch_work *work,
                               const struct cx_estate_series *series, int32_t start);
/* 16 hexadecimal digits of SHA-256 over what identifies an alert. */
void fp_watch_fingerprint(const struct fp_watch_work *work, struct fp_alert *alert);

/* ---- stored (watch_store.c) ------------------------------------------------------------------ */

struct fp_stored {
    char fingerprint[FP_FINGERPRINT], root[FP_FINGERPRINT];
    enum fp_alert_kind kind;
    int level;
    int32_t series, unit, incident, start, closed;
    int sign, revision;
    enum fp_alert_state state;
    char verdict[12]; /* of the last message, or stored if there was none */
    bool found;
    /* what becomes of it when it is not found */
    const char *how; /* NULL: nothing */
    enum fp_alert_event event;
};

struct fp_stored_list {
    struct fp_stored *at;
    size_t count, capacity;
};

enum fp_status fp_watch_read(const struct fp_watch_work *work, struct fp_stored_list *list,
                             struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_watch_write_found(const struct fp_watch_work *work,
                                    const struct fp_found_list *list,
                                    struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_watch_write_ended(const struct fp_watch_work *work,
                                    const struct fp_stored_list *list,
                                    struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_watch_write_explained(const struct fp_watch_work *work, const char *fingerprint,
                                        const struct fp_explanation *explanation,
                                        struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_watch_write_series(const struct fp_watch_work *work,
                                     const struct fp_found_list *list,
                                     struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_watch_write_levels(const struct fp_watch_work *work,
                                     struct fp_error *err) FP_MUST_CHECK;

#endif
