/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NIST StRD linear regression sets. The files are not part of this repository: the environment
 * variable FLIGHTPATH_NIST names the folder that has them; without it these tests are skipped. */
#include "tests/bench/accuracy_nist.h"

#include <stdlib.h>

#include <criterion/criterion.h>

static const char *folder(void)
{
    const char *path = getenv("FLIGHTPATH_NIST");
    if (!path || !*path) {
        fprintf(stderr, "[SKIP] FLIGHTPATH_NIST names no folder with NIST's .dat files\n");
        cr_skip_test("FLIGHTPATH_NIST is not set: no folder with NIST's .dat files");
    }
    return path;
}

static struct nist_set set;
static struct nist_digits digits;

/* exact integers: as many digits as the certified values have, less their own rounding */
static void exact(const char *name, double coef, double se, double r2)
{
    cr_assert(nist_read(&set, folder(), name), "%s: cannot be read", name);
    cr_assert(nist_exact(&set, &digits), "%s: no fit", name);
    cr_assert_geq(digits.coef, coef, "%s coef %.2f", name, digits.coef);
    cr_assert_geq(digits.se, se, "%s SE %.2f", name, digits.se);
    cr_assert_geq(digits.r2, r2, "%s R2 %.2f", name, digits.r2);
}

/* doubles: what rounding the data to doubles leaves */
static void doubles(const char *name, double coef, double se)
{
    cr_assert(nist_read(&set, folder(), name), "%s: cannot be read", name);
    cr_assert(nist_doubles(&set, 8, &digits), "%s: no fit", name);
    cr_assert_geq(digits.coef, coef, "%s coef %.2f", name, digits.coef);
    cr_assert_geq(digits.se, se, "%s SE %.2f", name, digits.se);
}

Test(solve_nist, longley)
{
    exact("Longley", 14, 14, 14.5);
    doubles("Longley", 14, 14);
}

Test(solve_nist, norris)
{
    exact("Norris", 14, 14, 14.5);
    doubles("Norris", 14, 13.5);
}

Test(solve_nist, through_the_origin)
{
    exact("NoInt1", 14, 14, 14.5);
    exact("NoInt2", 13.8, 13.8, 14.5); /* certified to 14 digits: 0.727272727272727 */
    doubles("NoInt1", 14, 14);
}

Test(solve_nist, wampler)
{
    exact("Wampler1", 14, 14, 15);
    exact("Wampler2", 14, 14, 15);
    exact("Wampler3", 14, 14, 14.5);
    exact("Wampler4", 14, 14, 14.5);
    exact("Wampler5", 14, 14, 14.5);
    doubles("Wampler3", 14, 14);
    doubles("Wampler5", 14, 14);
}

Test(solve_nist, pontius)
{
    exact("Pontius", 14, 14, 14.5);
    doubles("Pontius", 13, 13);
}

Test(solve_nist, filip) /* powers to the tenth: not integers; rounded once they give 7.7 digits */
{
    doubles("Filip", 7.5, 7.5);
}
