/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator's machine: arrivals follow the daily rhythm, every arrival puts plans into a queue
 * by send time, and the queue's head becomes the next record as soon as no arrival can come before
 * it.
 *
 * An arrival's time is the point where the rhythm has run as far as the share of messages scheduled
 * so far, so the wanted number of messages fills the span whatever an arrival brings with it. */
#include "daemon/generate_parts.h"

#include <stdlib.h>

#define PENDING_MAX (1u << 24)

/* ---- queue ------------------------------------------------------------------------------------
 */

static bool sooner(const struct fp_generator *gen, uint32_t a, uint32_t b)
{
    const struct fp_plan *left = &gen->plans[a], *right = &gen->plans[b];
    return left->send_us != right->send_us ? left->send_us < right->send_us
                                           : left->order < right->order;
}

static void swap(uint32_t *heap, uint32_t a, uint32_t b)
{
    uint32_t held = heap[a];
    heap[a] = heap[b];
    heap[b] = held;
}

static bool grow(struct fp_generator *gen)
{
    uint32_t capacity = gen->plan_capacity ? gen->plan_capacity * 2 : 1024;
    if (capacity > PENDING_MAX)
        return false;
    struct fp_plan *plans = realloc(gen->plans, capacity * sizeof *plans);
    if (plans != NULL)
        gen->plans = plans;
    uint32_t *heap = realloc(gen->heap, capacity * sizeof *heap);
    if (heap != NULL)
        gen->heap = heap;
    uint32_t *free_list = realloc(gen->free_list, capacity * sizeof *free_list);
    if (free_list != NULL)
        gen->free_list = free_list;
    if (plans == NULL || heap == NULL || free_list == NULL)
        return false;
    gen->plan_capacity = capacity;
    return true;
}

bool fp_schedule(struct fp_generator *gen, const struct fp_plan *plan)
{
    if (plan->send_us > gen->world.end_us)
        return false;
    if (gen->free_count == 0 && gen->plan_count == gen->plan_capacity && !grow(gen)) {
        gen->failed = true;
        return false;
    }
    uint32_t slot = gen->free_count > 0 ? gen->free_list[--gen->free_count] : gen->plan_count++;
    gen->plans[slot] = *plan;
    gen->plans[slot].order = gen->orders++;
    gen->scheduled++;
    uint32_t at = gen->heap_count++;
    gen->heap[at] = slot;
    while (at > 0 && sooner(gen, gen->heap[at], gen->heap[(at - 1) / 2])) {
        swap(gen->heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    return true;
}

static uint32_t take_first(struct fp_generator *gen)
{
    uint32_t first = gen->heap[0], at = 0;
    gen->heap[0] = gen->heap[--gen->heap_count];
    for (;;) {
        uint32_t least = at, left = 2 * at + 1;
        if (left < gen->heap_count && sooner(gen, gen->heap[left], gen->heap[least]))
            least = left;
        if (left + 1 < gen->heap_count && sooner(gen, gen->heap[left + 1], gen->heap[least]))
            least = left + 1;
        if (least == at)
            break;
        swap(gen->heap, at, least);
        at = least;
    }
    gen->free_list[gen->free_count++] = first;
    return first;
}

/* ---- arrivals ---------------------------------------------------------------------------------
 */

static int64_t arrival_time(struct fp_generator *gen)
{
    const struct fp_world *w = &gen->world;
    uint64_t total = w->rhythm[w->hour_count - 1];
    uint64_t target = (uint64_t)((unsigned __int128)total * (uint64_t)gen->scheduled /
                                 (uint64_t)gen->params.messages);
    while (gen->hour + 1 < w->hour_count && w->rhythm[gen->hour] <= target)
        gen->hour++;
    uint64_t before = gen->hour > 0 ? w->rhythm[gen->hour - 1] : 0;
    /* The rest of the division, so that a busy hour's arrivals are not all at one moment. */
    double exact = (double)total * (double)gen->scheduled / (double)gen->params.messages;
    double within = (exact - (double)before) / (double)(w->rhythm[gen->hour] - before);
    within = within < 0 ? 0 : within > 1 ? 1 : within;
    int64_t time_us = w->start_us + gen->hour * FP_HOUR + (int64_t)(within * (double)FP_HOUR);
    return time_us < w->end_us ? time_us : w->end_us;
}

/* ---- truth ------------------------------------------------------------------------------------
 */

/* An erasure takes back what its subject submitted before; such responses are then ignored. */
static bool is_erased(const struct fp_generator *gen, const struct fp_plan *plan)
{
    if (plan->type != FP_EVENT_RESPONSE || plan->audience != FP_AUDIENCE_CUSTOMER)
        return false;
    for (int i = 0; i < gen->erased_count; i++)
        if (gen->erased[i].customer == plan->customer &&
            plan->submitted_us <= gen->erased[i].before_us)
            return true;
    return false;
}

static void count(struct fp_generator *gen, const struct fp_plan *plan,
                  const struct fp_record *record)
{
    enum fp_truth_class class = plan->expected;
    bool readable = plan->bad == FP_BAD_NONE || plan->bad == FP_BAD_SUBMITTED_AT;
    enum fp_bad bad = plan->bad;
    if (readable && is_erased(gen, plan)) {
        class = FP_TRUTH_IGNORED;
        bad = FP_BAD_NONE;
    }
    if (plan->type == FP_EVENT_ERASURE && gen->erased_count < FP_ERASURES)
        gen->erased[gen->erased_count++] = (struct fp_taken_back){plan->customer, plan->time_us};
    gen->counts[class]++;
    gen->bads[bad]++;
    gen->types[plan->type]++;
    gen->formats[plan->format]++;
    gen->late_hour += plan->send_us - plan->time_us >= FP_HOUR;
    gen->late_day += plan->send_us - plan->time_us >= FP_DAY;
    gen->bytes += (int64_t)record->len;
}

int64_t fp_generator_count(const struct fp_generator *gen, enum fp_truth_class class)
{
    return gen->counts[class];
}

int64_t fp_generator_rejects(const struct fp_generator *gen, const char *reason)
{
    int64_t sum = 0;
    for (int i = 0; i < FP_BADS; i++) {
        const char *own = fp_bad_reason((enum fp_bad)i);
        sum += own != NULL && strcmp(own, reason) == 0 ? gen->bads[i] : 0;
    }
    return sum;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static bool params_fit(const struct fp_generate_params *params, struct fp_error *err)
{
    const char *wrong = NULL;
    if (params->messages < 1)
        wrong = "messages must be at least 1";
    else if (params->days < 1 || params->days > 3660)
        wrong = "days must be 1 to 3660";
    else if (params->units < 0 || params->units > 1000000)
        wrong = "units must be 0 (those of the model) to 1000000";
    else if (!(params->bad_share >= 0 && params->bad_share <= 0.5))
        wrong = "bad_share must be 0 to 0.5";
    if (wrong != NULL)
        fp_fail(err, FP_FATAL, "bad_value", "generate", "%s", wrong);
    return wrong == NULL;
}

struct fp_generator *fp_generator_new(const struct fp_model *model,
                                      const struct fp_generate_params *params, struct fp_error *err)
{
    if (!params_fit(params, err))
        return NULL;
    struct fp_generator *gen = calloc(1, sizeof *gen);
    if (gen == NULL) {
        fp_fail(err, FP_FATAL, "no_memory", "", "not enough memory for the generator");
        return NULL;
    }
    gen->params = *params;
    const char *topics[2] = {params->touchpoints_topic, params->responses_topic};
    for (int i = 0; i < 2; i++)
        strncpy(gen->topics[i], topics[i], sizeof gen->topics[i] - 1);
    gen->random = cx_random_seed(params->seed, 2);
    if (!fp_world_build(&gen->world, model, params, err)) {
        fp_generator_free(gen);
        return NULL;
    }
    fp_text_put(&gen->value, "start");
    fp_text_put(&gen->fields, "start");
    fp_plan_intervention(gen);
    if (gen->failed || gen->value.failed || gen->fields.failed) {
        fp_generator_free(gen);
        gen = NULL;
        fp_fail(err, FP_FATAL, "no_memory", "", "not enough memory for the generator");
    }
    return gen;
}

void fp_generator_free(struct fp_generator *gen)
{
    if (gen == NULL)
        return;
    fp_world_free(&gen->world);
    free(gen->plans);
    free(gen->heap);
    free(gen->free_list);
    free(gen->value.at);
    free(gen->fields.at);
    free(gen->truth.at);
    free(gen);
}

enum fp_status fp_generator_next(struct fp_generator *gen, struct fp_record *record,
                                 bool *well_formed)
{
    if (gen->emitted >= gen->params.messages)
        return FP_REJECT;
    while (gen->scheduled < gen->params.messages && !gen->failed) {
        int64_t time_us = arrival_time(gen);
        if (gen->heap_count > 0 && gen->plans[gen->heap[0]].send_us < time_us)
            break;
        fp_arrive(gen, time_us);
    }
    if (gen->failed || gen->heap_count == 0)
        return FP_FATAL;
    const struct fp_plan *plan = &gen->plans[take_first(gen)];
    fp_write(gen, plan, record);
    if (gen->value.failed || gen->fields.failed)
        return FP_FATAL;
    gen->emitted++;
    count(gen, plan, record);
    if (well_formed != NULL)
        *well_formed = plan->bad == FP_BAD_NONE;
    return FP_OK;
}
