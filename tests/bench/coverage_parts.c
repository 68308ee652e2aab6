/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table, the populations and the answers of `coverage`.
 *
 * Problem: what is simulated must have a truth that does not come from the code under test. Way:
 * the covariance matrix of every population is written down; coefficients and R² come from it by
 * Gaussian elimination here, shares of R² by the formulas of importance.h, which are held to
 * published references elsewhere. Hazard: coverages of the drivers of one analysis are not
 * independent, so the standard error of a coverage is taken over analyses, never over drivers. */
#include "tests/bench/coverage_parts.h"

#include <string.h>

#include "analytics/importance.h"

/* ---- figures --------------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t least, uint64_t *value)
{
    char *end = NULL;
    *value = text && *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
    return end && !*end && *value >= least;
}

bool cover_arguments(int argc, char **argv, struct cover_run *run, const char *const *names,
                     bool *wanted)
{
    for (int i = 1; i < argc; i++) {
        uint64_t value = 0;
        int s = 0;
        while (names[s] && strcmp(argv[i], names[s]) != 0)
            s++;
        if (names[s])
            wanted[s] = true;
        else if (!strcmp(argv[i], "--only") && argv[i + 1])
            run->only = argv[++i];
        else if (!strcmp(argv[i], "--replicates") && read_number(argv[i + 1], 2, &value))
            run->replicates = (int)value, i++;
        else if (!strcmp(argv[i], "--seed") && read_number(argv[i + 1], 0, &value))
            run->seed = value, i++;
        else
            return false;
    }
    return true;
}

int cover_replicates(const struct cover_run *run, int own)
{
    return run->replicates > 0 ? run->replicates : own;
}

bool cover_wanted(const struct cover_run *run, const char *cell)
{
    return !run->only || strstr(cell, run->only);
}

void cover_head(const char *title)
{
    printf("\n%s\n%-24s %-60s %8s %8s  %-14s %-6s %s\n", title, "cell", "figure", "value", "MC se",
           "demanded", "inside", "verdict");
}

void cover_report(struct cover_run *run, const struct cover_figure *f)
{
    char demanded[32] = "-";
    const char *inside = "-", *verdict = "shown";
    bool low = !isnan(f->low), high = !isnan(f->high);
    if (low && high)
        snprintf(demanded, sizeof demanded, "%.4g .. %.4g", f->low, f->high);
    else if (low || high)
        snprintf(demanded, sizeof demanded, "%s %.4g", low ? ">=" : "<=", low ? f->low : f->high);
    if (low || high) {
        double by = isnan(f->value) ? INFINITY : 0;
        if (low)
            by = fmax(by, f->low - f->value);
        if (high)
            by = fmax(by, f->value - f->high);
        bool fails = by > 0 && !(by <= 2 * f->error);
        inside = by > 0 ? "no" : "yes";
        verdict = fails ? "FAIL" : "pass";
        run->judged++;
        run->outside += by > 0;
        run->failed += fails;
    }
    printf("%-24s %-60s %8.4f %8.4f  %-14s %-6s %s\n", f->cell, f->name, f->value, f->error,
           demanded, inside, verdict);
    fflush(stdout);
}

void cover_add(struct cover_mean *mean, double value)
{
    mean->count++;
    mean->sum += value;
    mean->square += value * value;
}

double cover_value(const struct cover_mean *mean)
{
    return mean->sum / mean->count;
}

double cover_error(const struct cover_mean *mean)
{
    double value = cover_value(mean);
    double variance = (mean->square - mean->count * value * value) / (mean->count - 1);
    /* all alike, as coverages of a few analyses may be, does not mean known without error */
    return variance > 0 ? sqrt(variance / mean->count) : 1 / mean->count;
}

void cover_report_mean(struct cover_run *run, const char *cell, const char *name,
                       const struct cover_mean *mean, const double demanded[2])
{
    const struct cover_figure figure = {
        cell, name, cover_value(mean), cover_error(mean), demanded[0], demanded[1]};
    cover_report(run, &figure);
}

/* ---- random numbers -------------------------------------------------------------------------- */

struct cover_random cover_seed(const struct cover_run *run, uint64_t stream)
{
    return (struct cover_random){.random = cx_random_seed(run->seed, stream)};
}

double cover_normal(struct cover_random *random)
{
    double x, y, s;
    if (random->has_spare) {
        random->has_spare = false;
        return random->spare;
    }
    do {
        x = 2 * cx_random_unit(&random->random) - 1;
        y = 2 * cx_random_unit(&random->random) - 1;
        s = x * x + y * y;
    } while (s >= 1 || s <= 0);
    double size = sqrt(-2 * log(s) / s);
    random->spare = y * size;
    random->has_spare = true;
    return x * size;
}

int cover_poisson(struct cover_random *random, double mean)
{
    double product = cx_random_unit(&random->random), limit = exp(-mean);
    int count = 0;
    for (; product > limit; count++)
        product *= cx_random_unit(&random->random);
    return count;
}

/* ---- populations ----------------------------------------------------------------------------- */

void cover_scale(struct cover_population *population, double r2)
{
    double sum = 0, square = 0;
    for (int j = 0; j < population->p; j++) {
        sum += population->b[j];
        square += population->b[j] * population->b[j];
    }
    double explained = (1 - population->rho) * square + population->rho * sum * sum;
    for (int j = 0; j < population->p; j++)
        population->b[j] *= sqrt(r2 / explained);
    population->noise = sqrt(1 - r2);
}

/* Covariances of drivers and outcome, (p + 1)². */
static void covariances(const struct cover_population *population, double *s)
{
    int p = population->p, size = p + 1;
    double day = population->day_sd * population->day_sd;
    double shared = population->day_shared ? day : 0;
    double outcome = population->noise * population->noise + day;
    for (int i = 0; i < p; i++) {
        double c = 0;
        for (int m = 0; m < p; m++) {
            double r = i == m ? 1 : population->rho;
            s[i * size + m] = r + shared;
            c += r * population->b[m];
        }
        s[i * size + p] = s[p * size + i] = c + shared;
        outcome += population->b[i] * c;
    }
    s[p * size + p] = outcome;
}

void cover_truth(const struct cover_population *population, struct cover_truth *truth)
{
    enum { MOST = (COVER_P_MAX + 1) * (COVER_P_MAX + 1) };
    int p = population->p, size = p + 1;
    double s[MOST], r[MOST];
    covariances(population, s);
    for (int i = 0; i < size; i++)
        for (int m = 0; m < size; m++)
            r[i * size + m] = s[i * size + m] / sqrt(s[i * size + i] * s[m * size + m]);
    double *johnson = malloc(cx_johnson_work(p) * sizeof *johnson);
    double *lmg = malloc(cx_lmg_work(p) * sizeof *lmg);
    if (!cx_johnson(p, r, truth->weight, johnson) || !cx_lmg(p, r, truth->lmg, lmg))
        abort();
    free(johnson);
    free(lmg);
    double explained = 0, total = s[p * size + p], covariance[COVER_P_MAX];
    for (int i = 0; i < p; i++)
        covariance[i] = s[i * size + p];
    for (int i = 0; i < p; i++) /* positive definite: no pivoting */
        for (int k = i + 1; k < p; k++) {
            double times = s[k * size + i] / s[i * size + i];
            for (int m = i; m <= p; m++)
                s[k * size + m] -= times * s[i * size + m];
        }
    for (int i = p - 1; i >= 0; i--) {
        truth->coef[i] = s[i * size + p];
        for (int m = i + 1; m < p; m++)
            truth->coef[i] -= s[i * size + m] * truth->coef[m];
        truth->coef[i] /= s[i * size + i];
        explained += truth->coef[i] * covariance[i];
    }
    truth->r2 = explained / total;
}

/* ---- answers --------------------------------------------------------------------------------- */

const int cover_decimals[COVER_P_MAX + 1] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        fprintf(stderr, "coverage: out of memory\n");
        exit(2);
    }
    return memory;
}

struct cover_data *cover_data_new(int columns, int groups, int capacity)
{
    struct cover_data *data = allocate(1, sizeof *data);
    size_t cells = cx_moments_cells(columns) * (size_t)capacity;
    data->columns = columns;
    data->groups = groups;
    data->capacity = capacity;
    for (int g = -1; g < groups; g++) {
        struct cx_set *set = g < 0 ? &data->total : &data->group[g];
        set->pattern = allocate((size_t)capacity, sizeof(struct cx_pattern));
        set->cells = allocate(cells, sizeof(cx_wide));
    }
    data->memory = allocate(cx_drivers_memory(columns, capacity), 1);
    return data;
}

void cover_data_free(struct cover_data *data)
{
    for (int g = -1; g < data->groups; g++) {
        struct cx_set *set = g < 0 ? &data->total : &data->group[g];
        free(set->pattern);
        free(set->cells);
    }
    free(data->memory);
    free(data);
}

void cover_data_clear(struct cover_data *data)
{
    size_t cells = cx_moments_cells(data->columns) * (size_t)data->capacity;
    for (int g = -1; g < data->groups; g++) {
        struct cx_set *set = g < 0 ? &data->total : &data->group[g];
        cx_wide *cell = set->cells;
        cx_set_init(set, data->columns, set->pattern, data->capacity);
        cx_set_give_cells(set, cell, cells);
    }
}

void cover_data_add(struct cover_data *data, int group, uint64_t observed, const double *value)
{
    int64_t z[COVER_P_MAX + 1];
    const struct cx_pattern key = {.observed = observed};
    for (int c = 0; c < data->columns; c++)
        z[c] = llround(value[c] * COVER_SCALE);
    bool fine = cx_set_add(&data->total, &key, z, 1, 1) == CX_SET_OK;
    if (data->groups > 0)
        fine = fine && cx_set_add(&data->group[group], &key, z, 1, 1) == CX_SET_OK;
    if (!fine) {
        fprintf(stderr, "coverage: no room for a row\n");
        exit(2);
    }
}

void cover_row(const struct cover_population *population, struct cover_random *random,
               double day_effect, double *row)
{
    int p = population->p;
    double common = sqrt(population->rho) * cover_normal(random);
    row[p] = population->noise * cover_normal(random) + day_effect;
    for (int j = 0; j < p; j++) {
        row[j] = common + sqrt(1 - population->rho) * cover_normal(random);
        row[p] += population->b[j] * row[j];
        row[j] += population->day_shared ? day_effect : 0;
    }
}

void cover_stream(struct cover_data *data, const struct cover_population *population,
                  struct cover_random *random, const int n_days[2])
{
    static const double profile[7] = {1.3, 1.2, 1.1, 1, 1, .7, .7}; /* of mean 1 */
    const uint64_t all = (UINT64_C(1) << data->columns) - 1;
    int days = n_days[1];
    cover_data_clear(data);
    for (int day = 0; day < days; day++) {
        double row[COVER_P_MAX + 1], effect = population->day_sd * cover_normal(random);
        int rows = cover_poisson(random, n_days[0] * profile[day % 7] / days);
        while (rows-- > 0) {
            cover_row(population, random, effect, row);
            cover_data_add(data, cx_day_group(day, days, data->groups), all, row);
        }
    }
}

enum cx_fit_status cover_analyse(struct cover_data *data, enum cx_method method, uint64_t seed,
                                 struct cx_drivers *out)
{
    const struct cx_set *group[CX_DAY_GROUPS];
    for (int g = 0; g < data->groups; g++)
        group[g] = &data->group[g];
    const struct cx_drivers_question question = {.total = &data->total,
                                                 .group = data->groups > 0 ? group : NULL,
                                                 .groups = data->groups,
                                                 .method = method,
                                                 .decimals = cover_decimals,
                                                 .seed = seed};
    return cx_drivers(out, &question, data->memory);
}
