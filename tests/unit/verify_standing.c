/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which message of a response stands: known cases, and random histories against the daemon's own
 * walk (settle.h), which shares no code with it. */
#include "daemon/verify_standing.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/random.h"
#include "daemon/settle.h"

#define NONE INT32_MIN
#define MESSAGES_MAX 12

struct message { /* of one response, or an erasure among them */
    bool erasure, is_void, has_submitted_at;
    int32_t revision;
    int64_t time_us;
    int subject; /* 0: none */
};

struct history {
    struct message at[MESSAGES_MAX];
    int count;
};

/* ---- both sides -------------------------------------------------------------------------------
 */

struct ours {
    struct fp_claim claims[MESSAGES_MAX];
    int place[MESSAGES_MAX]; /* of a claim in the history */
    size_t claim_count;
    struct fp_standing standing;
};

static struct ours by_verify(const struct history *h)
{
    struct ours o = {.claim_count = 0};
    struct fp_forget forgets[MESSAGES_MAX];
    size_t forget_count = 0;
    for (int i = 0; i < h->count; i++) {
        const struct message *m = &h->at[i];
        if (m->erasure) {
            forgets[forget_count++] = (struct fp_forget){
                .subject = {(uint64_t)m->subject, 7}, .before_us = m->time_us, .offset = i};
            continue;
        }
        o.place[o.claim_count] = i;
        o.claims[o.claim_count++] = (struct fp_claim){.offset = i,
                                                      .time_us = m->time_us,
                                                      .revision = m->revision,
                                                      .is_void = m->is_void,
                                                      .has_submitted_at = m->has_submitted_at};
        if (m->subject) {
            o.claims[o.claim_count - 1].subject[0] = (uint64_t)m->subject;
            o.claims[o.claim_count - 1].subject[1] = 7;
        }
    }
    o.standing = fp_standing_find(o.claims, o.claim_count, forgets, forget_count);
    return o;
}

static void add_row(struct fp_batch *batch, struct fp_record *record, const struct message *m,
                    int64_t offset)
{
    *record = (struct fp_record){.topic = "t", .offset = offset};
    batch->rows[batch->row_count++] =
        (struct fp_row){.erasure = m->erasure,
                        .offset = offset,
                        .names = {.source = 5},
                        .id = fp_slice_of("r-1"),
                        .has_subject = m->subject != 0,
                        .subject = {(uint8_t)m->subject},
                        .has_submitted_at = m->has_submitted_at,
                        .time_us = m->time_us,
                        .day = (int32_t)m->time_us,
                        .revision = m->revision,
                        .weight = 1,
                        .status = m->is_void ? FP_RESPONSE_VOID : FP_RESPONSE_COMPLETE,
                        .record = record};
}

/* Fills outcomes by counting before and after each message; the state at the end. */
static struct fp_state by_daemon(const struct history *h, int outcomes[MESSAGES_MAX])
{
    struct fp_state last = {.exists = false};
    for (int end = 1; end <= h->count; end++) {
        struct fp_row rows[MESSAGES_MAX];
        struct fp_record records[MESSAGES_MAX];
        struct fp_batch batch = {.rows = rows, .share_count = 1};
        struct fp_settlement s;
        int64_t before[FP_COUNTS] = {0};
        fp_settlement_init(&s);
        for (int pass = 0; pass < 2; pass++) {
            batch.row_count = 0;
            for (int i = 0; i < end - 1 + pass; i++)
                add_row(&batch, &records[i], &h->at[i], i);
            fp_settlement_start(&s, &batch);
            fp_settlement_run(&s, &batch);
            for (int k = 0; pass == 0 && k < FP_COUNTS; k++)
                before[k] = s.count[0][k];
        }
        for (int k = 0; k < FP_COUNTS; k++)
            if (s.count[0][k] != before[k])
                outcomes[end - 1] = k;
        last = s.state_count ? s.states[0] : (struct fp_state){.exists = false};
        last.row = last.row ? (const struct fp_row *)(uintptr_t)(last.row->offset + 1) : NULL;
        fp_settlement_free(&s);
    }
    return last;
}

static void tell(const struct history *h, char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < h->count; i++) {
        const struct message *m = &h->at[i];
        used += (size_t)snprintf(text + used, size - used,
                                 "\n  %d: %s rev %d time %lld%s subject %d", i,
                                 m->erasure   ? "erasure"
                                 : m->is_void ? "void"
                                              : "response",
                                 m->revision, (long long)m->time_us,
                                 m->has_submitted_at ? "" : " (inherited)", m->subject);
    }
}

static void agree(const struct history *h)
{
    char text[2000] = "";
    int outcomes[MESSAGES_MAX];
    struct ours o = by_verify(h);
    struct fp_state state = by_daemon(h, outcomes);
    tell(h, text, sizeof text);
    cr_assert_eq(o.standing.index >= 0, state.exists, "whether anything stands:%s", text);
    for (size_t i = 0; i < o.claim_count; i++)
        cr_assert_eq(o.claims[i].outcome, outcomes[o.place[i]],
                     "outcome of message %d: %d, not %d:%s", o.place[i], o.claims[i].outcome,
                     outcomes[o.place[i]], text);
    if (!state.exists)
        return;
    cr_assert_eq((int64_t)(uintptr_t)state.row - 1, o.place[o.standing.index],
                 "which message stands: %d, not %lld:%s", o.place[o.standing.index],
                 (long long)(uintptr_t)state.row - 1, text);
    cr_assert_eq(o.claims[o.standing.time_from].time_us, state.time_us, "its time:%s", text);
    cr_assert_eq((int32_t)o.claims[o.standing.time_from].time_us, state.day, "its day:%s", text);
}

/* ---- known cases ------------------------------------------------------------------------------
 */

#define RESPONSE(r, t) \
    { \
        .revision = r, .time_us = t, .has_submitted_at = true \
    }
#define VOID(r, t) \
    { \
        .revision = r, .time_us = t, .has_submitted_at = true, .is_void = true \
    }
#define LATER(r, t) \
    { \
        .revision = r, .time_us = t \
    }
#define BARE_VOID(r, t) \
    { \
        .revision = r, .time_us = t, .is_void = true \
    }

/* index NONE: nothing stands */
static void stands(struct history h, int index, int64_t time_us)
{
    struct ours o = by_verify(&h);
    char text[2000] = "";
    tell(&h, text, sizeof text);
    agree(&h);
    if (index == NONE) {
        cr_assert_eq(o.standing.index, -1, "something stands:%s", text);
        return;
    }
    cr_assert_neq(o.standing.index, -1, "nothing stands:%s", text);
    cr_assert_eq(o.place[o.standing.index], index, "%d stands:%s", o.place[o.standing.index], text);
    cr_assert_eq(o.claims[o.standing.time_from].time_us, time_us, "its time:%s", text);
}

Test(standing, the_highest_revision_stands_in_any_order)
{
    stands((struct history){{RESPONSE(1, 9), RESPONSE(3, 9), RESPONSE(2, 9)}, 3}, 1, 9);
    stands((struct history){{RESPONSE(3, 9), RESPONSE(1, 9)}, 2}, 0, 9);
    stands((struct history){{RESPONSE(2, 9), RESPONSE(2, 9)}, 2}, 0, 9);
}

Test(standing, a_void_beats_its_own_revision_and_lower_ones)
{
    stands((struct history){{RESPONSE(2, 9), VOID(2, 9)}, 2}, 1, 9);
    stands((struct history){{RESPONSE(2, 9), VOID(1, 9)}, 2}, 0, 9);
    stands((struct history){{VOID(1, 9), RESPONSE(1, 9)}, 2}, 0, 9);
    stands((struct history){{VOID(1, 9), RESPONSE(2, 9)}, 2}, 1, 9);
}

Test(standing, submitted_at_is_inherited_and_must_not_change)
{
    stands((struct history){{RESPONSE(1, 9), LATER(2, 50)}, 2}, 1, 9);
    stands((struct history){{LATER(1, 50), RESPONSE(2, 9)}, 2}, 0, 50);
    stands((struct history){{RESPONSE(1, 9), RESPONSE(2, 10), RESPONSE(3, 9)}, 3}, 2, 9);
    stands((struct history){{RESPONSE(1, 9), BARE_VOID(1, 99), LATER(2, 80)}, 3}, 2, 9);
}

Test(standing, an_erasure_takes_what_stood_and_keeps_it_away)
{
    struct message mine = {.revision = 1, .time_us = 9, .has_submitted_at = true, .subject = 4};
    struct message erasure = {.erasure = true, .subject = 4, .time_us = 9};
    struct message early = erasure, newer = mine;
    early.time_us = 8;
    newer.time_us = 10;
    stands((struct history){{mine, erasure}, 2}, NONE, 0);
    stands((struct history){{erasure, mine}, 2}, NONE, 0);
    stands((struct history){{mine, early}, 2}, 0, 9);
    stands((struct history){{mine, erasure, newer}, 3}, 2, 10);
    erasure.subject = 5;
    stands((struct history){{mine, erasure}, 2}, 0, 9);
}

/* ---- random histories -------------------------------------------------------------------------
 */

static struct history draw(struct cx_random *random, bool erasures, bool times)
{
    struct history h = {.count = 1 + (int)cx_random_below(random, MESSAGES_MAX)};
    for (int i = 0; i < h.count; i++) {
        struct message *m = &h.at[i];
        *m = (struct message){.erasure = erasures && cx_random_chance(random, 0.2),
                              .is_void = cx_random_chance(random, 0.3),
                              .has_submitted_at = cx_random_chance(random, 0.6),
                              .revision = 1 + (int32_t)cx_random_below(random, 4),
                              .time_us = times ? 10 + (int64_t)cx_random_below(random, 3) : 10,
                              .subject = (int)cx_random_below(random, 3)};
        if (m->erasure && m->subject == 0)
            m->subject = 1;
    }
    return h;
}

Test(standing, agrees_with_the_daemon_when_times_are_kept)
{
    struct cx_random random = cx_random_seed(1, 1);
    for (int i = 0; i < 20000; i++) {
        struct history h = draw(&random, false, false);
        agree(&h);
    }
}

Test(standing, agrees_with_the_daemon_when_times_change)
{
    struct cx_random random = cx_random_seed(2, 1);
    for (int i = 0; i < 20000; i++) {
        struct history h = draw(&random, false, true);
        agree(&h);
    }
}

Test(standing, agrees_with_the_daemon_among_erasures)
{
    struct cx_random random = cx_random_seed(3, 1);
    for (int i = 0; i < 20000; i++) {
        struct history h = draw(&random, true, true);
        agree(&h);
    }
}
