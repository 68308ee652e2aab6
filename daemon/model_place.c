/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a message belongs, and which KPIs look there.
 *
 * journey: as named, main or detailed; one that the model does not know stays unknown. Named by
 * nobody: the only main journey of the touchpoint, if there is just one.
 * detailed: as named; else the one detailed journey of the main one that holds the touchpoint;
 * else, for employees, the first tenure window that holds. Touchpoint events have no audience of
 * their own: they are part of whatever their journey is. */
#include "daemon/model_build.h"

static bool window_holds(const struct fp_journey *journey, int32_t tenure)
{
    switch (journey->tenure) {
    case FP_TENURE_IS_APPLICANT:
        return tenure == FP_TENURE_APPLICANT;
    case FP_TENURE_MAX_MONTHS:
        return tenure >= 0 && tenure <= journey->tenure_months;
    case FP_TENURE_MIN_MONTHS:
        return tenure >= journey->tenure_months; /* not negative: checked on reading */
    case FP_TENURE_NONE:
        break;
    }
    return false;
}

/* The detailed journeys of a main one follow it directly. */
static int detailed_by_touchpoint(const struct fp_model *model, int main, int touchpoint)
{
    int found = FP_NONE;
    for (int i = main + 1; i < model->journey_count && model->journeys[i].parent == main; i++) {
        if (!fp_journey_has(model, i, touchpoint))
            continue;
        if (found != FP_NONE)
            return FP_NONE; /* either could be meant */
        found = i;
    }
    return found;
}

static int detailed_by_tenure(const struct fp_model *model, int main, int32_t tenure)
{
    for (int i = main + 1; i < model->journey_count && model->journeys[i].parent == main; i++) {
        if (window_holds(&model->journeys[i], tenure))
            return i;
    }
    return FP_NONE;
}

struct fp_place fp_model_place(const struct fp_model *model, const struct fp_event *event)
{
    struct fp_place place = {.audience = FP_AUDIENCE_CUSTOMER, .detailed = FP_NONE};
    place.touchpoint = fp_model_find(model, FP_KIND_TOUCHPOINT, event->touchpoint);
    place.journey = fp_model_find(model, FP_KIND_JOURNEY, event->journey);
    if (place.journey != FP_NONE && model->journeys[place.journey].parent != FP_NONE) {
        place.detailed = place.journey;
        place.journey = model->journeys[place.journey].parent;
    } else if (event->journey.len == 0 && place.touchpoint != FP_NONE) {
        place.journey = model->touchpoints[place.touchpoint].only_journey;
    }
    bool response = event->type == FP_EVENT_RESPONSE;
    if (response)
        place.audience = event->audience;
    else if (place.journey != FP_NONE)
        place.audience = model->journeys[place.journey].audience;

    if (place.journey == FP_NONE || place.detailed != FP_NONE)
        return place;
    if (place.touchpoint != FP_NONE)
        place.detailed = detailed_by_touchpoint(model, place.journey, place.touchpoint);
    if (place.detailed == FP_NONE && response && place.audience == FP_AUDIENCE_EMPLOYEE)
        place.detailed = detailed_by_tenure(model, place.journey, event->tenure_months);
    return place;
}

/* A main journey, a detailed one that the message is in, or one that holds its touchpoint: after an
 * item's own touchpoint took the place of the message's, only the latter still says so. */
bool fp_journey_covers(const struct fp_model *model, int id, const struct fp_place *place)
{
    const struct fp_journey *journey = &model->journeys[id];
    if (journey->parent == FP_NONE)
        return place->journey == id;
    if (place->journey != journey->parent)
        return false;
    return place->detailed == id ||
           (place->touchpoint != FP_NONE && fp_journey_has(model, id, place->touchpoint));
}

bool fp_kpi_covers(const struct fp_model *model, const struct fp_kpi *kpi,
                   const struct fp_place *place)
{
    if (!fp_kpi_of_events(kpi) && kpi->audience != place->audience)
        return false;
    if (kpi->touchpoint != FP_NONE && kpi->touchpoint != place->touchpoint)
        return false;
    return kpi->journey == FP_NONE || fp_journey_covers(model, kpi->journey, place);
}

/* ---- lists of KPIs --------------------------------------------------------------------------- */

static bool could_count(const struct fp_model *model, const struct fp_kpi *kpi, bool items, int at)
{
    if (items)
        return kpi->source == FP_SOURCE_ITEM && kpi->item == at;
    /* the last list is that of undeclared touchpoints */
    return fp_kpi_of_events(kpi) &&
           (kpi->touchpoint == FP_NONE || (at < model->touchpoint_count && kpi->touchpoint == at));
}

/* Lists one after the other; start[i] … start[i + 1] is the one of i. Two passes: count, fill. */
static void make_lists(struct fp_model *model, bool items, int count, int **list, int **start)
{
    struct fp_arena *arena = &model->own->arena;
    *start = fp_arena_alloc(arena, (size_t)count + 1, sizeof **start);
    *list = NULL;
    for (int pass = 0; pass < 2; pass++) {
        int used = 0;
        for (int at = 0; at < count; at++) {
            (*start)[at] = used;
            for (int k = 0; k < model->kpi_count; k++) {
                if (!could_count(model, &model->kpis[k], items, at))
                    continue;
                if (pass == 1)
                    (*list)[used] = k;
                used++;
            }
        }
        (*start)[count] = used;
        if (pass == 0)
            *list = fp_arena_alloc(arena, (size_t)used + 1, sizeof **list);
    }
}

void fp_model_list_kpis(struct fp_model *model)
{
    struct fp_model_private *own = model->own;
    make_lists(model, true, model->item_count, &own->item_kpis, &own->item_start);
    make_lists(model, false, model->touchpoint_count + 1, &own->touchpoint_kpis,
               &own->touchpoint_start);
    own->response_kpis =
        fp_arena_alloc(&own->arena, (size_t)model->kpi_count + 1, sizeof *own->response_kpis);
    for (int k = 0; k < model->kpi_count; k++) {
        if (model->kpis[k].source != FP_SOURCE_ITEM && !fp_kpi_of_events(&model->kpis[k]))
            own->response_kpis[own->response_kpi_count++] = k;
    }
}

const int *fp_model_response_kpis(const struct fp_model *model, int *count)
{
    *count = model->own->response_kpi_count;
    return model->own->response_kpis;
}

const int *fp_model_item_kpis(const struct fp_model *model, int item, int *count)
{
    const struct fp_model_private *own = model->own;
    *count = own->item_start[item + 1] - own->item_start[item];
    return own->item_kpis + own->item_start[item];
}

const int *fp_model_touchpoint_kpis(const struct fp_model *model, int touchpoint, int *count)
{
    const struct fp_model_private *own = model->own;
    int at = touchpoint == FP_NONE ? model->touchpoint_count : touchpoint;
    *count = own->touchpoint_start[at + 1] - own->touchpoint_start[at];
    return own->touchpoint_kpis + own->touchpoint_start[at];
}
