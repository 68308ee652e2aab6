/* SPDX-License-Identifier: GPL-3.0-or-later */
/* q-values: p-values adjusted for the number of tests so that the share of false ones among those
 * called stays below q (Benjamini & Hochberg 1995): q_(i) = min over k ≥ i of p_(k)·m/k.
 * A NAN p was not tested: it does not count in m and its q is NAN.
 * Memory: order is room for m indices. Threads: pure. */
#ifndef CX_FDR_H
#define CX_FDR_H

#include <stddef.h>

void cx_fdr(const double *p, size_t m, double *q, size_t *order);

#endif
