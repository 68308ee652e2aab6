/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Seeded random numbers that are the same on every machine: integers and exactly rounded double
 * operations only, no libm.
 * Method: xoshiro256** (Blackman & Vigna 2021), its state filled by SplitMix64 (Steele et al.
 * 2014). Memory: a plain value, may be copied. Threads: none; caller serialises. Errors: none. */
#ifndef CX_RANDOM_H
#define CX_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct cx_random {
    uint64_t s[4];
};

/* Streams of one seed are independent of each other: one per purpose. */
struct cx_random cx_random_seed(uint64_t seed, uint64_t stream);

uint64_t cx_random_next(struct cx_random *random);
/* Uniform on 0 … n−1, without bias; n ≥ 1. */
uint32_t cx_random_below(struct cx_random *random, uint32_t n);
/* Uniform on [0, 1), a multiple of 2^-53. */
double cx_random_unit(struct cx_random *random);
bool cx_random_chance(struct cx_random *random, double probability);
/* Mean 0, standard deviation 1: the sum of twelve uniforms (Irwin–Hall), within ±6. */
double cx_random_normal(struct cx_random *random);
/* Mean 1, by von Neumann's comparisons (1951): no logarithm. */
double cx_random_exponential(struct cx_random *random);
/* Index drawn in proportion to weights; cumulative[i] = sum of weights 0 … i, the last one ≥ 1. */
uint32_t cx_random_pick(struct cx_random *random, const uint64_t *cumulative, uint32_t count);

#endif
