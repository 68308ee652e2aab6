/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values and confidence intervals of the KPI metrics, from additive parts.
 * Threads: pure. Errors: n_eff ≤ 0 or not finite gives NAN in all three members. */
#ifndef CX_INTERVAL_H
#define CX_INTERVAL_H

struct cx_interval {
    double value, low, high;
};

/* Net promoter score in points −100 … 100 with Tango's score interval for a difference of paired
 * proportions (Tango 1998, Stat. Med. 17:891; STATISTICS §4). Arguments are (effective) counts,
 * not necessarily whole. level e.g. 0.95. Relative error of the limits ≤ 1e-12. */
struct cx_interval cx_nps(double promoters, double detractors, double n_eff, double level);

/* A share 0 … 1 with Wilson's score interval (Wilson 1927). */
struct cx_interval cx_share(double successes, double n_eff, double level);

/* A mean with mean ± t(n−1)·s/√n. scale_min/max bound the limits; pass −INFINITY/INFINITY for an
 * open scale. When s = 0 on a bounded scale the interval is range based: with p the Wilson lower
 * limit of the share of the one answer seen,
 * value − (1−p)(value − min) … value + (1−p)(max − value).
 * Otherwise n_eff < 2 gives the whole scale, on an open scale NAN limits. */
struct cx_interval cx_mean(double mean, double variance, double n_eff, double scale_min,
                           double scale_max, double level);

#endif
