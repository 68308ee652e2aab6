/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Double-double arithmetic: an unevaluated sum hi + lo of two doubles, about 106 bits.
 * Method: Dekker (1971), Knuth's two-sum, Hida, Li & Bailey (2001); products by fma(), which C
 * rounds correctly on every machine. Must be compiled without contraction (-ffp-contract=off) and
 * without -ffast-math: then equal bits in give equal bits out on any IEEE-754 machine.
 * Relative error of +, −, ×, ÷, √ ≤ 2^-102 (CX_DD_EPSILON, with room), while nothing over- or
 * underflows. Threads: pure. Errors: as doubles do, by NAN and infinities. */
#ifndef CX_DD_H
#define CX_DD_H

#include <math.h>
#include <stdint.h>

#define CX_DD_EPSILON 0x1p-102

struct cx_dd {
    double hi, lo;
};

static inline struct cx_dd cx_dd_of(double x)
{
    return (struct cx_dd){x, 0};
}

/* exact, |a| ≥ |b| */
static inline struct cx_dd cx_dd_quick_sum(double a, double b)
{
    double s = a + b;
    return (struct cx_dd){s, b - (s - a)};
}

/* exact */
static inline struct cx_dd cx_dd_sum(double a, double b)
{
    double s = a + b, part = s - a;
    return (struct cx_dd){s, (a - (s - part)) + (b - part)};
}

/* exact */
static inline struct cx_dd cx_dd_product(double a, double b)
{
    double p = a * b;
    return (struct cx_dd){p, fma(a, b, -p)};
}

static inline struct cx_dd cx_dd_add(struct cx_dd a, struct cx_dd b)
{
    struct cx_dd high = cx_dd_sum(a.hi, b.hi), low = cx_dd_sum(a.lo, b.lo);
    high = cx_dd_quick_sum(high.hi, high.lo + low.hi);
    return cx_dd_quick_sum(high.hi, high.lo + low.lo);
}

static inline struct cx_dd cx_dd_neg(struct cx_dd a)
{
    return (struct cx_dd){-a.hi, -a.lo};
}

static inline struct cx_dd cx_dd_sub(struct cx_dd a, struct cx_dd b)
{
    return cx_dd_add(a, cx_dd_neg(b));
}

static inline struct cx_dd cx_dd_mul(struct cx_dd a, struct cx_dd b)
{
    struct cx_dd p = cx_dd_product(a.hi, b.hi);
    return cx_dd_quick_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

static inline struct cx_dd cx_dd_scale(struct cx_dd a, double b)
{
    return cx_dd_mul(a, cx_dd_of(b));
}

static inline struct cx_dd cx_dd_div(struct cx_dd a, struct cx_dd b)
{
    double first = a.hi / b.hi;
    struct cx_dd rest = cx_dd_sub(a, cx_dd_scale(b, first));
    double second = rest.hi / b.hi;
    rest = cx_dd_sub(rest, cx_dd_scale(b, second));
    double third = rest.hi / b.hi;
    return cx_dd_add(cx_dd_quick_sum(first, second), cx_dd_of(third));
}

/* a ≥ 0; one Newton step from the double root (Karp & Markstein 1997) */
static inline struct cx_dd cx_dd_sqrt(struct cx_dd a)
{
    if (!(a.hi > 0))
        return cx_dd_of(sqrt(a.hi));
    double root = sqrt(a.hi);
    struct cx_dd rest = cx_dd_sub(a, cx_dd_product(root, root));
    struct cx_dd out = cx_dd_quick_sum(root, rest.hi / (2 * root));
    rest = cx_dd_sub(a, cx_dd_mul(out, out));
    return cx_dd_add(out, cx_dd_of(rest.hi / (2 * root)));
}

/* 10^power, 0 … 22: exact as a double */
static inline double cx_dd_ten(int power)
{
    double ten = 1;
    for (int i = 0; i < power; i++)
        ten *= 10;
    return ten;
}

#endif
