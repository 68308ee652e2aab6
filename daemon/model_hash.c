/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hashes of what was meant.
 *
 * The model's hash is over its canonical text. A KPI's or driver model's *definition* is a short
 * text of everything that decides its numbers, and nothing else: targets, owners, names, grain and
 * directions may change without starting a new series (but for the directions of an index and its
 * items, which say what is turned). What decides: the source (item with scale and top, or measure
 * with decimals), the places it covers and how messages come to be placed
 * there, the audience, the time zone. Lists whose order does not matter are sorted. A definition
 * begins with the version of its own format: raise it when the meaning of a number changes in the
 * code. */
#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model_build.h"
#include "daemon/resolve.h"

void fp_hash_hex(const char *text, size_t len, char hex[FP_HASH_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (EVP_Digest(text, len, digest, &size, EVP_sha256(), NULL) != 1 || size != 32)
        abort(); /* a libcrypto without SHA-256 */
    for (unsigned i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* A stream into memory that ends as a hash. */
struct hashed {
    char *text;
    size_t len;
    FILE *out;
};

static void begin(struct hashed *hashed)
{
    *hashed = (struct hashed){0};
    hashed->out = open_memstream(&hashed->text, &hashed->len);
    if (hashed->out == NULL)
        abort(); /* out of memory, as in model_arena.c */
}

static void end(struct hashed *hashed, char hex[FP_HASH_HEX])
{
    if (fclose(hashed->out) != 0)
        abort();
    fp_hash_hex(hashed->text, hashed->len, hex);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_sorted(FILE *out, const char *label, const char **texts, int count)
{
    qsort(texts, (size_t)count, sizeof *texts, by_text);
    fprintf(out, "%s", label);
    for (int i = 0; i < count; i++)
        fprintf(out, " %s", texts[i]);
    fputc('\n', out);
}

/* ---- places ---------------------------------------------------------------------------------- */

static void write_touchpoints(struct fp_build *build, FILE *out, const struct fp_journey *journey)
{
    const struct fp_model *model = build->model;
    const char **texts =
        fp_arena_alloc(build->arena, (size_t)journey->touchpoint_count + 1, sizeof *texts);
    for (int i = 0; i < journey->touchpoint_count; i++) {
        const struct fp_touchpoint *touchpoint = &model->touchpoints[journey->touchpoints[i]];
        /* one that belongs to a single journey also brings messages that name no journey */
        size_t size = strlen(touchpoint->id) + 2;
        char *text = fp_arena_alloc(build->arena, size, 1);
        snprintf(text, size, "%s%s", touchpoint->id,
                 touchpoint->only_journey == FP_NONE ? "" : "!");
        texts[i] = text;
    }
    write_sorted(out, "touchpoints", texts, journey->touchpoint_count);
}

static void write_journey(struct fp_build *build, FILE *out, int id)
{
    const struct fp_model *model = build->model;
    const struct fp_journey *journey = &model->journeys[id];
    fprintf(out, "journey %s", journey->id);
    if (journey->parent != FP_NONE)
        fprintf(out, " of %s", model->journeys[journey->parent].id);
    fputc('\n', out);
    write_touchpoints(build, out, journey);
    if (journey->tenure == FP_TENURE_NONE)
        return;
    fputs("tenure", out); /* the windows before this one take their part first */
    for (int i = journey->parent + 1; i <= id; i++) {
        if (model->journeys[i].tenure != FP_TENURE_NONE)
            fprintf(out, " %d:%d", (int)model->journeys[i].tenure,
                    model->journeys[i].tenure_months);
    }
    fputc('\n', out);
}

static void write_scope(struct fp_build *build, FILE *out, int journey, int touchpoint)
{
    if (journey != FP_NONE)
        write_journey(build, out, journey);
    if (touchpoint != FP_NONE)
        fprintf(out, "touchpoint %s\n", build->model->touchpoints[touchpoint].id);
}

/* ---- sources --------------------------------------------------------------------------------- */

static int by_int(const void *a, const void *b)
{
    int x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void write_answers(const struct fp_build *build, FILE *out, const struct fp_item *item)
{
    struct fp_scale scale = build->model->scales[item->scale];
    qsort(scale.na_codes, (size_t)scale.na_count, sizeof *scale.na_codes, by_int);
    for (int i = 0; i < scale.na_count; i++)
        fprintf(out, " na %d", scale.na_codes[i]);
    if (item->touchpoint != FP_NONE)
        fprintf(out, " at %s", build->model->touchpoints[item->touchpoint].id);
    fputc('\n', out);
}

static void write_item(const struct fp_build *build, FILE *out, int id)
{
    static const char *const metrics[] = {"nps", "csat", "ces", "mean", "top_box"};
    const struct fp_item *item = &build->model->items[id];
    const struct fp_scale *scale = &build->model->scales[item->scale];
    fprintf(out, "item %s %s %d:%d top %d", item->id, metrics[item->metric], scale->min, scale->max,
            item->top);
    write_answers(build, out, item);
}

static void write_index(const struct fp_build *build, FILE *out, const struct fp_kpi *kpi)
{
    const struct fp_scale *scale = fp_kpi_scale(build->model, kpi);
    fprintf(out, "index %d:%d\n", scale->min, scale->max);
    for (int i = 0; i < kpi->item_count; i++) { /* by id */
        const struct fp_item *item = &build->model->items[kpi->items[i]];
        fprintf(out, "%s %s", item->direction == kpi->direction ? "item" : "turned", item->id);
        write_answers(build, out, item);
    }
}

static void write_measure(const struct fp_build *build, FILE *out, int id)
{
    const struct fp_measure *measure = &build->model->measures[id];
    fprintf(out, "measure %s decimals %d\n", measure->id, measure->decimals);
}

/* The kinds that are made of more than one item, measure or message. */
static void write_combined(const struct fp_build *build, FILE *out, const struct fp_kpi *kpi)
{
    if (kpi->source == FP_SOURCE_INDEX)
        write_index(build, out, kpi);
    if (kpi->source == FP_SOURCE_MEASURE_PER) {
        fputs("per ", out);
        write_measure(build, out, kpi->per);
    }
    if (kpi->source == FP_SOURCE_RESPONSE_RATE)
        fprintf(out, "response rate%s%s\n", kpi->survey ? " of " : "",
                kpi->survey ? kpi->survey : "");
    if (kpi->source == FP_SOURCE_STRAIGHT_LINING)
        fprintf(out, "straight-lining from %d\n", FP_STRAIGHT_MIN);
}

static void hash_kpi(struct fp_build *build, struct fp_kpi *kpi)
{
    static const char *const audiences[] = {"customer", "employee", "internal"};
    static const char *const outcomes[] = {"completed", "failed", "abandoned", "recovered"};
    char text[FP_NUMBER_TEXT];
    struct hashed hashed;
    begin(&hashed);
    fprintf(hashed.out, "kpi/1\nzone %s\naudience %s\n", build->model->time_zone,
            audiences[kpi->audience]);
    write_scope(build, hashed.out, kpi->journey, kpi->touchpoint);
    if (kpi->item != FP_NONE)
        write_item(build, hashed.out, kpi->item);
    if (kpi->measure != FP_NONE)
        write_measure(build, hashed.out, kpi->measure);
    if (kpi->source == FP_SOURCE_MEASURE_WITHIN)
        fprintf(hashed.out, "within %lld\n", (long long)kpi->within);
    fp_number_text(kpi->quantile, text);
    if (kpi->source == FP_SOURCE_MEASURE_QUANTILE)
        fprintf(hashed.out, "quantile %s\n", text);
    if (kpi->source == FP_SOURCE_OUTCOME)
        fprintf(hashed.out, "outcome %s\n", outcomes[kpi->outcome]);
    write_combined(build, hashed.out, kpi);
    end(&hashed, kpi->definition);
    free(hashed.text);
}

static void hash_driver_model(struct fp_build *build, struct fp_driver_model *model)
{
    struct hashed hashed;
    begin(&hashed);
    fprintf(hashed.out, "drivers/1\nzone %s\nwindow %d join %d\n", build->model->time_zone,
            model->window_days, model->join_window_hours);
    if (model->panel)
        fputs("panel\n", hashed.out);
    write_scope(build, hashed.out, model->journey, model->touchpoint);
    write_item(build, hashed.out, model->outcome);
    for (int i = 0; i < model->driver_count; i++) /* in order: it is that of the state */
        write_item(build, hashed.out, model->drivers[i]);
    for (int i = 0; i < model->measure_count; i++)
        write_measure(build, hashed.out, model->measures[i]);
    end(&hashed, model->definition);
    free(hashed.text);
}

void fp_model_hash(struct fp_build *build)
{
    struct fp_model *model = build->model;
    struct hashed hashed;
    begin(&hashed);
    fp_node_write(hashed.out, build->root);
    end(&hashed, model->hash);
    model->text = fp_arena_text(build->arena, hashed.text, hashed.len);
    free(hashed.text);
    for (int i = 0; i < model->kpi_count; i++)
        hash_kpi(build, &model->kpis[i]);
    for (int i = 0; i < model->driver_model_count; i++)
        hash_driver_model(build, &model->driver_models[i]);
}
