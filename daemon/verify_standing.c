/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/verify_standing.h"

#include "daemon/batch.h" /* enum fp_count only */

struct history { /* the claims from … to − 1 that may stand together */
    struct fp_claim *claims;
    size_t from, to;
    const struct fp_forget *forgets;
    size_t forget_count;
    size_t first; /* the one that sets the time; to: none takes part */
};

int fp_claim_rank(const struct fp_claim *a, const struct fp_claim *b)
{
    if (a->revision != b->revision)
        return a->revision > b->revision ? 1 : -1;
    return (int)a->is_void - (int)b->is_void;
}

static bool same_subject(const uint64_t a[2], const uint64_t b[2])
{
    return a[0] == b[0] && a[1] == b[1] && (a[0] | a[1]) != 0;
}

static bool is_forgotten(const struct history *h, const struct fp_claim *claim, int64_t time_us)
{
    for (size_t i = 0; i < h->forget_count && h->forgets[i].offset < claim->offset; i++)
        if (h->forgets[i].before_us >= time_us &&
            same_subject(h->forgets[i].subject, claim->subject))
            return true;
    return false;
}

static void find_first(struct history *h)
{
    h->first = h->from;
    while (h->first < h->to && is_forgotten(h, &h->claims[h->first], h->claims[h->first].time_us))
        h->first++;
}

enum part { OUT_FORGOTTEN, OUT_OTHER_TIME, IN };

static enum part part_of(const struct history *h, size_t i)
{
    const struct fp_claim *c = &h->claims[i], *first = &h->claims[h->first];
    if (i < h->first)
        return OUT_FORGOTTEN;
    if (i == h->first)
        return IN;
    if (is_forgotten(h, c, c->has_submitted_at ? c->time_us : first->time_us))
        return OUT_FORGOTTEN;
    return c->has_submitted_at && c->time_us != first->time_us ? OUT_OTHER_TIME : IN;
}

/* The highest from `first` on, the earliest of equals; there is one. */
static size_t highest(const struct history *h)
{
    size_t best = h->first;
    for (size_t i = h->first + 1; i < h->to; i++)
        if (part_of(h, i) == IN && fp_claim_rank(&h->claims[i], &h->claims[best]) > 0)
            best = i;
    return best;
}

static int outcome_of(const struct fp_claim *claim, const struct fp_claim *top, enum part part)
{
    if (part == OUT_FORGOTTEN)
        return FP_IGNORED;
    if (fp_claim_rank(claim, top) > 0)
        return part == OUT_OTHER_TIME ? FP_REJECTED : claim->is_void ? FP_VOIDED : FP_REVISED;
    return top->is_void && !claim->is_void ? FP_IGNORED : FP_DUPLICATE;
}

static void write_outcomes(const struct history *h)
{
    const struct fp_claim *top = NULL;
    for (size_t i = h->from; i < h->to; i++) {
        struct fp_claim *c = &h->claims[i];
        enum part part = part_of(h, i);
        if (i == h->first)
            c->outcome = c->is_void ? FP_VOIDED : FP_APPLIED;
        else
            c->outcome = outcome_of(c, top, part);
        if (part == IN && (top == NULL || fp_claim_rank(c, top) > 0))
            top = c;
    }
}

/* What stands when `from` … `to` have come and nothing was erased meanwhile. */
static struct fp_standing stands(struct history h)
{
    struct fp_standing none = {-1, -1};
    find_first(&h);
    write_outcomes(&h);
    if (h.first == h.to)
        return none;
    return (struct fp_standing){(int64_t)highest(&h), (int64_t)h.first};
}

static bool is_taken_away(const struct fp_claim *claims, struct fp_standing standing,
                          const struct fp_forget *forget)
{
    return standing.index >= 0 && claims[standing.time_from].time_us <= forget->before_us &&
           same_subject(claims[standing.index].subject, forget->subject);
}

struct fp_standing fp_standing_find(struct fp_claim *claims, size_t count,
                                    const struct fp_forget *forgets, size_t forget_count)
{
    struct history h = {claims, 0, 0, forgets, forget_count, 0};
    for (size_t i = 0; i < forget_count; i++) {
        while (h.to < count && claims[h.to].offset < forgets[i].offset)
            h.to++;
        if (is_taken_away(claims, stands(h), &forgets[i]))
            h.from = h.to;
    }
    h.to = count;
    return stands(h);
}
