/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Events of a batch as predictions, against the formula worked out one event at a time; what a
 * response is held against; and that a batch can be used again. */
#include "daemon/settle.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOUR 490000
#define EVENTS 3000
#define VERSION (INT64_C(3) << 31) /* its lower half is negative as an int32 */

enum { WAIT, TRIES, LENGTH, MEASURES };
enum { HERE, THERE, TOUCHPOINTS };

static const int first_measures[] = {WAIT, TRIES}, second_measures[] = {LENGTH, WAIT, TRIES},
                 third_measures[] = {LENGTH};
static struct fp_driver_model driver_models[] = {
    {.id = "first", .outcome = 0, .measures = first_measures, .measure_count = 2},
    {.id = "second", .outcome = 1, .measures = second_measures, .measure_count = 3},
    {.id = "third", .outcome = 0, .measures = third_measures, .measure_count = 1},
    {.id = "items", .outcome = 0}};
static struct fp_measure declared[MEASURES] = {{.decimals = 0}, {.decimals = 0}, {.decimals = 1}};
static struct fp_item items[] = {{.touchpoint = HERE}, {.touchpoint = HERE}};
static struct fp_touchpoint touchpoints[TOUCHPOINTS] = {{.only_journey = FP_NONE},
                                                        {.only_journey = FP_NONE}};
static struct fp_model model = {.driver_models = driver_models,
                                .driver_model_count = 4,
                                .measures = declared,
                                .measure_count = MEASURES,
                                .items = items,
                                .item_count = 2,
                                .touchpoints = touchpoints,
                                .touchpoint_count = TOUCHPOINTS};
static int16_t item_ids[] = {11, 12}, measure_ids[] = {7, 3, 5};
static struct fp_fitting fittings[4];
static struct fp_binding binding = {
    .model = &model, .items = item_ids, .measures = measure_ids, .fittings = fittings};
static struct fp_scored scored[3];
static struct fp_scoring scoring = {.binding = &binding, .scored = scored, .scored_count = 3};

static struct fp_batch *batch;
static struct fp_event event;
static struct fp_fact fact;
static struct fp_names names = {.source = 2, .touchpoint = 5, .unit = 6};
static const struct fp_record record = {.topic = "t", .timestamp_ms = 1};

static void coefficients(int m, int32_t series, int touchpoint)
{
    struct fp_scored *s = &scored[m];
    *s = (struct fp_scored){.model = m, .series = series, .touchpoint = touchpoint};
    s->score = (struct cx_score_model){.measures = driver_models[m].measure_count,
                                       .centre = 3.7f + (float)m,
                                       .low = 1,
                                       .high = 5,
                                       .cut = 2,
                                       .sigma = 0.8f};
    for (int j = 0; j < s->score.measures; j++) {
        int decimals = declared[driver_models[m].measures[j]].decimals;
        s->score.mean[j] = 100.25 + 10 * j;
        s->score.coef[j] = -0.011f / (float)(j + 1 + m);
        s->score.scale[j] = decimals ? 0.1 : 1;
    }
}

static void begin_batch(void)
{
    binding.references = scoring.references = 1000;
    batch->binding = &binding;
    batch->scoring = &scoring;
    fp_batch_share(batch, &(struct fp_share){.topic = "t"});
}

static void start(void)
{
    for (int m = 0; m < 4; m++) {
        driver_models[m].journey = driver_models[m].touchpoint = FP_NONE;
        if (m == 2)
            driver_models[m].touchpoint = THERE;
        cr_assert(fp_fitting_init(&fittings[m], &model, m, item_ids, measure_ids));
        fittings[m].series = 100 + m;
    }
    for (int m = 0; m < 3; m++)
        coefficients(m, 100 + m, m == 2 ? THERE : HERE);
    scoring.version = VERSION;
    scoring.path = cx_score_best();
    batch = fp_batch_new(5000);
    begin_batch();
    event = (struct fp_event){.type = FP_EVENT_TOUCHPOINT, .weight = 1, .revision = 1};
    fact = (struct fp_fact){.event = &event,
                            .hour = HOUR,
                            .place = {.journey = FP_NONE, .detailed = FP_NONE, .touchpoint = HERE}};
}

static void end(void)
{
    fp_batch_free(batch);
    for (int m = 0; m < 4; m++)
        fp_fitting_free(&fittings[m]);
}

TestSuite(scoring, .init = start, .fini = end);

static void measure(int which, int64_t amount)
{
    fact.measures[fact.measure_count] = (int16_t)which;
    fact.amounts[fact.measure_count++] = amount;
}

static void add(void)
{
    cr_assert(fp_batch_add(batch, 0, &record, &fact, &names, NULL));
}

/* ---- the same, one at a time ----------------------------------------------------------------- */

struct sum {
    int64_t events, predicted;
    double detractor;
};

static void expect(struct sum *sum, int m)
{
    const struct cx_score_model *s = &scored[m].score;
    volatile float total = 0; /* each step a float */
    bool given = false;
    for (int j = 0; j < s->measures; j++)
        for (int k = 0; k < fact.measure_count; k++)
            if (fact.measures[k] == driver_models[m].measures[j]) {
                volatile float x = (float)((double)fact.amounts[k] * s->scale[j] - s->mean[j]);
                volatile float term = s->coef[j] * x;
                total = total + term;
                given = true;
            }
    if (!given)
        return;
    volatile float y = s->centre + total;
    y = fminf(fmaxf(y, s->low), s->high);
    volatile float thousandths = y * 1000.0f;
    double z = ((double)s->cut + 0.5 - (double)s->centre - (double)total) / (double)s->sigma;
    sum->events++;
    sum->predicted += lrintf(thousandths);
    sum->detractor += 1e6 * 0.5 * erfc(-z / sqrt(2));
}

static int64_t *cell(int m, int hour, int unit)
{
    return fp_delta_cell(&batch->predictions,
                         fp_prediction_key(100 + m, HOUR + hour, unit, VERSION))
        ->count;
}

static void random_event(unsigned *seed)
{
    fact.measure_count = 0;
    for (int which = 0; which < MEASURES; which++)
        if (rand_r(seed) % 4)
            measure(which, rand_r(seed) % 400);
}

Test(scoring, cells_are_those_of_single_events)
{
    static struct sum sums[3][4][5];
    unsigned seed = 1;
    for (int i = 0; i < EVENTS; i++) {
        int hour = rand_r(&seed) % 4, unit = rand_r(&seed) % 5;
        random_event(&seed);
        fact.hour = HOUR + hour;
        names.unit = unit;
        fact.place.touchpoint = rand_r(&seed) % 7 ? HERE : rand_r(&seed) % 2 ? THERE : FP_NONE;
        for (int m = 0; m < 3; m++)
            if (scored[m].touchpoint == fact.place.touchpoint)
                expect(&sums[m][hour][unit], m);
        add();
    }
    fp_batch_score(batch);
    int64_t all = 0;
    for (int m = 0; m < 3; m++)
        for (int hour = 0; hour < 4; hour++)
            for (int unit = 0; unit < 5; unit++) {
                const struct sum *s = &sums[m][hour][unit];
                const int64_t *count = cell(m, hour, unit);
                cr_assert_eq(count[FP_PREDICT_EVENTS], s->events);
                cr_assert_eq(count[FP_PREDICT_SUM], s->predicted);
                cr_assert_float_eq((double)count[FP_PREDICT_DETRACTOR], s->detractor,
                                   2.0 * (double)s->events + 0.5);
                cr_assert_eq(count[FP_PREDICT_N], 0);
                all += s->events;
            }
    cr_assert_gt(all, EVENTS, "two models score one touchpoint");
    cr_assert_eq(batch->predicted, all);
    cr_assert_eq(batch->predictions.count, 60);
}

Test(scoring, what_says_nothing_of_the_models_measures_is_not_scored)
{
    add(); /* no measures */
    measure(LENGTH, 50);
    fact.place.touchpoint = FP_NONE;
    add(); /* nowhere */
    fact.place.touchpoint = HERE;
    add(); /* `first` has no such measure, `second` has */
    fp_batch_score(batch);
    cr_assert_eq(batch->predicted, 1);
    cr_assert_eq(cell(1, 0, 6)[FP_PREDICT_EVENTS], 1);
}

Test(scoring, without_coefficients_nothing_is_scored)
{
    batch->scoring = NULL;
    measure(WAIT, 50);
    add();
    fp_batch_score(batch);
    cr_assert_eq(batch->predicted, 0);
    cr_assert_eq(batch->predictions.count, 0);
    cr_assert_eq(batch->shares[0].count[FP_APPLIED], 1);
}

Test(scoring, there_is_room_for_the_cells_of_waiting_rows)
{
    struct fp_batch *small = fp_batch_new(3 * CX_SCORE_ROWS);
    cr_assert(fp_batch_has_room(small, 1 << 20, 1 << 20));
    small->scoring = &scoring;
    cr_assert_not(fp_batch_has_room(small, 1 << 20, 1 << 20));
    small->scoring = NULL;
    fp_batch_free(small);
}

Test(scoring, a_batch_is_used_again)
{
    measure(WAIT, 50);
    for (int i = 0; i < CX_SCORE_ROWS + 3; i++)
        add();
    int before = scoring.references;
    fp_batch_reset(batch); /* 3 rows wait */
    cr_assert_eq(scoring.references, before - 1);
    cr_assert_eq(batch->predictions.count, 0);
    begin_batch();
    add();
    fp_batch_score(batch);
    cr_assert_eq(batch->predicted, 2);
    cr_assert_eq(cell(0, 0, 6)[FP_PREDICT_EVENTS], 1);
}

Test(scoring, published_predictions_are_copies)
{
    char id[] = "id", source[] = "source", interaction[] = "visit";
    batch->publish = true;
    event.id = fp_slice_of(id);
    event.source = fp_slice_of(source);
    event.interaction = fp_slice_of(interaction);
    event.time_us = 5;
    measure(WAIT, 50);
    size_t bytes = batch->bytes;
    for (int i = 0; i < 300; i++) {
        fact.amounts[0] = i;
        add();
    }
    id[0] = source[0] = interaction[0] = '!';
    fp_batch_score(batch);
    cr_assert_eq(batch->published_count, 600);
    cr_assert_geq(batch->bytes - bytes, 600 * sizeof *batch->published);
    int64_t sum[2] = {0};
    for (size_t i = 0; i < 600; i++) {
        const struct fp_published *p = &batch->published[i];
        cr_assert_str_eq(p->id.at, "id");
        cr_assert_str_eq(p->source.at, "source");
        cr_assert_str_eq(p->interaction.at, "visit");
        cr_assert_null(p->unit.at);
        cr_assert_eq(p->time_us, 5);
        sum[p->scored] += p->predicted;
        if (i >= 2) /* a longer wait, a worse outcome */
            cr_assert_leq(p->predicted, batch->published[i - 2].predicted);
    }
    cr_assert_eq(sum[0], cell(0, 0, 6)[FP_PREDICT_SUM]);
    cr_assert_eq(sum[1], cell(1, 0, 6)[FP_PREDICT_SUM]);
}

/* ---- answers --------------------------------------------------------------------------------- */

Test(scoring, what_a_response_is_held_against)
{
    event.type = FP_EVENT_RESPONSE;
    fact.items[0] = 0, fact.scores[0] = -3;
    fact.items[1] = 1, fact.scores[1] = FP_SCORE_NOT_APPLICABLE;
    fact.score_count = 2;
    add();
    const struct fp_row *row = &batch->rows[0];
    cr_assert_eq(row->observed_count, 1, "not of `items`, nor of another touchpoint");
    cr_assert_eq(fp_observed_series(row->observed[0]), 100);
    cr_assert_eq(fp_observed_answer(row->observed[0]), -3);
    fact.scores[1] = 4;
    add();
    cr_assert_eq(batch->rows[1].observed_count, 2);
    event.weight = 0;
    add();
    cr_assert_eq(batch->rows[2].observed_count, 0);
    event.weight = 1;
    event.status = FP_RESPONSE_VOID;
    add();
    cr_assert_eq(batch->rows[3].observed_count, 0);
    event.status = FP_RESPONSE_COMPLETE;
    fact.place.audience = FP_AUDIENCE_EMPLOYEE;
    add();
    cr_assert_eq(batch->rows[4].observed_count, 0);
}

static struct fp_settlement settlement;

static void observed_is(int n, int64_t weight, int64_t weight_square, int64_t sum, int64_t square)
{
    fp_settlement_start(&settlement, batch);
    fp_settlement_run(&settlement, batch);
    const int64_t *count =
        fp_delta_cell(&settlement.predictions, fp_prediction_key(100, HOUR, 6, 0))->count;
    const int64_t expected[FP_PREDICTS] = {0, 0, 0, n, weight, weight_square, sum, square};
    for (int i = 0; i < FP_PREDICTS; i++)
        cr_assert_eq(count[i], expected[i], "column %d: %lld", i, (long long)count[i]);
}

Test(scoring, observed_follows_the_revisions)
{
    event = (struct fp_event){.type = FP_EVENT_RESPONSE,
                              .id = fp_slice_of("r"),
                              .has_submitted_at = true,
                              .weight = 3,
                              .revision = 1};
    fact.score_count = 1;
    fact.scores[0] = 4;
    fp_settlement_init(&settlement);
    add();
    observed_is(1, 3, 9, 12, 48);
    event.revision = 2, event.weight = 2, fact.scores[0] = 5;
    add();
    observed_is(1, 2, 4, 10, 50);
    event.revision = 3, fact.scores[0] = FP_SCORE_SKIPPED;
    add();
    observed_is(0, 0, 0, 0, 0);
    event.revision = 4, fact.scores[0] = 1;
    add();
    observed_is(1, 2, 4, 2, 2);
    event.revision = 5, event.status = FP_RESPONSE_VOID;
    add();
    observed_is(0, 0, 0, 0, 0);
    fp_settlement_free(&settlement);
}

Test(scoring, what_is_stored_is_taken_away_whatever_the_model)
{
    int64_t observed[] = {fp_observed_pack(999, -7)};
    struct fp_stored stored = {.source = 2,
                               .id = fp_slice_of("r"),
                               .submitted_us = HOUR * INT64_C(3600000000),
                               .revision = 1,
                               .unit = 8,
                               .weight = 2,
                               .observed = observed,
                               .observed_count = 1};
    event = (struct fp_event){.type = FP_EVENT_RESPONSE,
                              .id = fp_slice_of("r"),
                              .status = FP_RESPONSE_VOID,
                              .weight = 1,
                              .revision = 2};
    fp_settlement_init(&settlement);
    add();
    fp_settlement_start(&settlement, batch);
    fp_settlement_stored(&settlement, &stored);
    fp_settlement_run(&settlement, batch);
    const int64_t *count =
        fp_delta_cell(&settlement.predictions, fp_prediction_key(999, HOUR, 8, 0))->count;
    const int64_t expected[FP_PREDICTS] = {0, 0, 0, -1, -2, -4, 14, -98};
    for (int i = 0; i < FP_PREDICTS; i++)
        cr_assert_eq(count[i], expected[i]);
    fp_settlement_free(&settlement);
}

Test(scoring, newer_means_of_the_same_model)
{
    struct fp_binding other = binding;
    struct fp_scoring next = scoring;
    cr_assert_not(fp_scoring_newer(&next, &scoring));
    next.version++;
    cr_assert(fp_scoring_newer(&next, &scoring));
    cr_assert_not(fp_scoring_newer(&scoring, &next));
    next.binding = &other;
    cr_assert_not(fp_scoring_newer(&next, &scoring));
}
