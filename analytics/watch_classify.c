/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Templates against the last half year.
 *
 * Problem: nine templates at 70 beginnings over 182 buckets, at every bucket of every open episode.
 * Way: each template is a piece that rises and a piece that is flat, so its sums come from prefix
 * sums of w, wi, wi², wr and wir: about 10 µs in all. Index i counts from the middle of the window,
 * which keeps Σwi² small beside what it is differenced from.
 * Hazard: a template that covers (nearly) everything with weight says nothing about a change; its
 * Σwx̃² is rounding, so it must be more than 1e-9 of Σwx². */
#include "analytics/watch_classify.h"

#include <math.h>

#include "analytics/watch_parts.h"

#define REACH 182
#define BEGINNINGS 70
#define RAMP_MIN 5
#define FLATTENED_MIN 7
#define MANY_TEMPLATES 1.3862943611198906 /* 2 ln 2 */
#define FLATTENED_PENALTY 1

struct sums {
    double w, wi, wii, wr, wir;
    int used;
};

struct window {
    int64_t from;
    int length;
    struct sums before[REACH + 1]; /* over indices below */
    double level;                  /* Σwr/Σw */
    int sign;
};

/* x = (i − rise + 1)/over on [rise, top), 1 on [top, end): i counted as in the sums. */
struct template
{
    enum cx_watch_verdict class;
    int start, top, end; /* start = top: no rise */
    double over;
    double penalty;
};

struct fit {
    struct template of;
    double score, coef, xx;
};

static double index_of(const struct window *win, int i)
{
    return i - win->length / 2;
}

static void load(struct window *win, const struct cx_watch_series *series,
                 const struct cx_watch_masks *masks, int64_t from, int64_t bucket)
{
    double reference = 0;
    win->from = from;
    win->length = (int)(bucket - from + 1);
    win->before[0] = (struct sums){0};
    for (int i = 0; i < win->length; i++) {
        const struct cx_watch_point *point = &series->point[from + i - series->first];
        double w = cx_watch_weight(series, masks, from + i), at = index_of(win, i), r = 0;
        struct sums *next = &win->before[i + 1];
        *next = win->before[i];
        if (!(w > 0))
            continue;
        if (next->used++ == 0)
            reference = point->r;
        r = point->r - reference;
        w /= 1 + w * point->unsure; /* templates are short */
        next->w += w;
        next->wi += w * at;
        next->wii += w * at * at;
        next->wr += w * r;
        next->wir += w * r * at;
    }
    const struct sums *all = &win->before[win->length];
    win->level = all->w > 0 ? all->wr / all->w : 0;
}

static struct sums between(const struct window *win, int from, int until)
{
    const struct sums *a = &win->before[from], *b = &win->before[until];
    return (struct sums){b->w - a->w,   b->wi - a->wi,   b->wii - a->wii,
                         b->wr - a->wr, b->wir - a->wir, b->used - a->used};
}

static void consider(const struct window *win, const struct template *template, struct fit *best)
{
    struct sums rise = between(win, template->start, template->top);
    struct sums flat = between(win, template->top, template->end);
    const struct sums *all = &win->before[win->length];
    double base = index_of(win, template->start) - 1, over = template->over;
    double x = (rise.wi - base * rise.w) / over + flat.w;
    double xx = (rise.wii - 2 * base * rise.wi + base * base * rise.w) / (over * over) + flat.w;
    double xr = (rise.wir - base * rise.wr) / over + flat.wr - x * win->level;
    double rest = xx - x * x / all->w;
    if (!(rest > 1e-9 * xx) || win->sign * xr < 0)
        return;
    double score = xr * xr / rest - template->penalty;
    if (score > best->score)
        *best = (struct fit){*template, score, xr / rest, rest};
}

static void try_dips(const struct window *win, int s, struct fit *best)
{
    static const int lengths[] = {1, 2, 3, 5};
    for (int q = 0; q < 4; q++) {
        int end = s + lengths[q];
        if (end >= win->length || between(win, end, win->length).used == 0)
            return;
        const struct template dip = {CX_WATCH_DIP, s, s, end, 1, MANY_TEMPLATES};
        consider(win, &dip, best);
    }
}

static void try_ramps(const struct window *win, int s, struct fit *best)
{
    static const int lengths[] = {14, 28, 42};
    int end = win->length, length = end - s;
    if (length < RAMP_MIN)
        return;
    const struct template ramp = {CX_WATCH_TREND, s, end, end, length, MANY_TEMPLATES};
    consider(win, &ramp, best);
    for (int q = 0; q < 3 && length >= FLATTENED_MIN; q++) {
        int top = s + lengths[q] < end ? s + lengths[q] : end;
        const struct template flattened = {
            CX_WATCH_TREND, s, top, end, lengths[q], MANY_TEMPLATES + FLATTENED_PENALTY};
        consider(win, &flattened, best);
    }
}

/* Best of dip, shift, trend. */
static void try_all(const struct window *win, struct fit best[3])
{
    int first = win->length > BEGINNINGS ? win->length - BEGINNINGS : 0;
    for (int c = 0; c < 3; c++)
        best[c].score = -INFINITY;
    for (int s = first; s < win->length; s++) {
        if (between(win, s, s + 1).used == 0 || between(win, 0, s).used < CX_WATCH_BEFORE_MIN)
            continue;
        const struct template shift = {CX_WATCH_SHIFT, s, s, win->length, 1, 0};
        consider(win, &shift, &best[1]);
        try_dips(win, s, &best[0]);
        try_ramps(win, s, &best[2]);
    }
}

static void describe(struct cx_watch_class *class, const struct window *win, const struct fit *fit,
                     const struct cx_watch_series *series, const struct cx_watch_rule *rule)
{
    const struct template *of = &fit->of;
    int buckets = between(win, of->start, of->end).used;
    int capped = buckets < CX_WATCH_LOOKBACK ? buckets : CX_WATCH_LOOKBACK;
    double last = of->end == of->top ? (of->end - of->start) / of->over : 1; /* x at the end */
    last = of->start == of->top ? 1 : last;
    double half = 1.959963984540054 * sqrt(rule->factor[capped] / fit->xx) * last;
    class->start = win->from + of->start;
    class->until = win->from + of->end;
    class->size = fit->coef * last;
    class->low = class->size - half;
    class->high = class->size + half;
    for (int i = of->start; i < of->end; i++)
        class->n += series->point[win->from + i - series->first].n;
}

static void weigh(struct cx_watch_class *class, const struct fit best[3])
{
    double top = fmax(best[0].score, fmax(best[1].score, best[2].score)), p[3], sum = 0;
    for (int c = 0; c < 3; c++)
        sum += p[c] = exp((best[c].score - top) / 2);
    class->dip = p[0] / sum;
    class->shift = p[1] / sum;
    class->trend = p[2] / sum;
    class->likeliest = best[0].score == top   ? CX_WATCH_DIP
                       : best[1].score == top ? CX_WATCH_SHIFT
                                              : CX_WATCH_TREND;
    if (class->likeliest == CX_WATCH_DIP) {
        class->verdict = CX_WATCH_DIP;
        class->posterior = class->dip;
    } else if (fmax(class->shift, class->trend) > CX_WATCH_SURE) {
        class->verdict = class->likeliest;
        class->posterior = fmax(class->shift, class->trend);
    } else {
        class->verdict = CX_WATCH_PERSISTENT;
        class->posterior = class->shift + class->trend;
    }
}

struct cx_watch_class cx_watch_classify(const struct cx_watch_series *series,
                                        const struct cx_watch_rule *rule,
                                        const struct cx_watch_masks *masks, int64_t floor,
                                        int64_t bucket, int sign)
{
    struct cx_watch_class class = {0};
    struct window win = {.sign = sign};
    struct fit best[3];
    int64_t from = bucket - (REACH - 1);
    from = from < floor ? floor : from;
    from = from < series->first ? series->first : from;
    if (from > bucket || bucket - series->first >= series->count)
        return class;
    load(&win, series, masks, from, bucket);
    try_all(&win, best);
    if (!(fmax(best[0].score, fmax(best[1].score, best[2].score)) > -INFINITY))
        return class;
    weigh(&class, best);
    const struct fit *fit = &best[class.likeliest - CX_WATCH_DIP];
    describe(&class, &win, fit, series, rule);
    return class;
}

const char *cx_watch_verdict_name(enum cx_watch_verdict verdict)
{
    static const char *const names[] = {"unknown", "dip", "shift", "trend", "persistent"};
    return names[verdict];
}
