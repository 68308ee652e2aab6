/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Journeys and touchpoints: who passes where, and which journey a touchpoint speaks for. */
#include <string.h>

#include "daemon/model_build.h"

bool fp_journey_has(const struct fp_model *model, int journey, int touchpoint)
{
    for (int i = 0; i < model->journeys[journey].touchpoint_count; i++) {
        if (model->journeys[journey].touchpoints[i] == touchpoint)
            return true;
    }
    return false;
}

static void read_tenure(struct fp_build *build, const struct fp_node *node,
                        struct fp_journey *journey)
{
    const struct fp_node *tenure = fp_node_get(node, "tenure");
    if (tenure == NULL)
        return;
    const struct fp_node *low = fp_node_get(tenure, "min_months");
    const struct fp_node *high = fp_node_get(tenure, "max_months");
    if (journey->audience != FP_AUDIENCE_EMPLOYEE)
        fp_problem_at(build, tenure, NULL, "remove it, or set the journey's audience to employee",
                      "only employees have a tenure");
    if (tenure->type == FP_NODE_STRING) {
        journey->tenure = FP_TENURE_IS_APPLICANT;
    } else if (tenure->type == FP_NODE_OBJECT && (low == NULL) == (high == NULL)) {
        fp_problem_at(build, tenure, NULL, "the windows before it set the other end",
                      "give either \"max_months\" or \"min_months\"");
    } else if (tenure->type == FP_NODE_OBJECT) {
        journey->tenure = high ? FP_TENURE_MAX_MONTHS : FP_TENURE_MIN_MONTHS;
        journey->tenure_months = fp_node_int(tenure, high ? "max_months" : "min_months", 0);
    }
}

static void wrong_window(struct fp_build *build, int journey, const char *what)
{
    fp_problem_at(build, fp_node_get(build->journey_nodes[journey], "tenure"), NULL,
                  "order them: applicant, max_months from low to high, then one min_months", "%s",
                  what);
}

/* The first window that holds counts: one that can never be the first is a mistake. */
static void check_tenure_order(struct fp_build *build, int main)
{
    const struct fp_model *model = build->model;
    bool applicant = false, open = false;
    int highest = -1;
    for (int i = main + 1; i < model->journey_count && model->journeys[i].parent == main; i++) {
        const struct fp_journey *journey = &model->journeys[i];
        if (journey->tenure == FP_TENURE_IS_APPLICANT) {
            if (applicant)
                wrong_window(build, i, "a second window for applicants");
            applicant = true;
        } else if (journey->tenure != FP_TENURE_NONE && open) {
            wrong_window(build, i, "a window after the one that has no end");
        } else if (journey->tenure == FP_TENURE_MAX_MONTHS) {
            if (journey->tenure_months <= highest)
                wrong_window(build, i, "an earlier window takes all of this one");
            highest = journey->tenure_months;
        } else if (journey->tenure == FP_TENURE_MIN_MONTHS) {
            if (journey->tenure_months < highest)
                wrong_window(build, i, "overlaps the window before it");
            open = true;
        }
    }
}

/* A main journey covers what its detailed journeys cover. */
static void collect_touchpoints(struct fp_build *build, int main)
{
    struct fp_model *model = build->model;
    struct fp_journey *journey = &model->journeys[main];
    int *all = fp_arena_alloc(build->arena, (size_t)model->touchpoint_count + 1, sizeof *all);
    bool *seen = fp_arena_alloc(build->arena, (size_t)model->touchpoint_count + 1, sizeof *seen);
    for (int i = main + 1; i < model->journey_count && model->journeys[i].parent == main; i++) {
        for (int k = 0; k < model->journeys[i].touchpoint_count; k++) {
            int touchpoint = model->journeys[i].touchpoints[k];
            if (!seen[touchpoint])
                all[journey->touchpoint_count++] = touchpoint;
            seen[touchpoint] = true;
        }
    }
    journey->touchpoints = all;
}

static void read_touchpoints(struct fp_build *build)
{
    struct fp_model *model = build->model;
    const struct fp_node *list = fp_node_list(build->root, "touchpoints");
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        struct fp_touchpoint *touchpoint = &model->touchpoints[at->index];
        touchpoint->name = fp_node_string(at, "name", touchpoint->id);
        touchpoint->department = fp_node_string(at, "department", "");
        touchpoint->owner = fp_build_ref(build, fp_node_get(at, "owner"), FP_KIND_OWNER);
        touchpoint->processes =
            fp_build_texts(build, fp_node_list(at, "processes"), &touchpoint->process_count);
        touchpoint->systems =
            fp_build_texts(build, fp_node_list(at, "systems"), &touchpoint->system_count);
        touchpoint->only_journey = FP_NONE;
    }
}

static void set_only_journeys(struct fp_build *build)
{
    struct fp_model *model = build->model;
    int *journeys =
        fp_arena_alloc(build->arena, (size_t)model->touchpoint_count + 1, sizeof *journeys);
    for (int i = 0; i < model->journey_count; i++) {
        const struct fp_journey *journey = &model->journeys[i];
        for (int k = 0; journey->parent == FP_NONE && k < journey->touchpoint_count; k++) {
            int touchpoint = journey->touchpoints[k];
            journeys[touchpoint]++;
            model->touchpoints[touchpoint].only_journey = journeys[touchpoint] == 1 ? i : FP_NONE;
        }
    }
}

void fp_model_read_journeys(struct fp_build *build)
{
    struct fp_model *model = build->model;
    read_touchpoints(build);
    for (int i = 0; i < model->journey_count; i++) {
        struct fp_journey *journey = &model->journeys[i];
        const struct fp_node *node = build->journey_nodes[i];
        journey->name = fp_node_string(node, "name", journey->id);
        if (journey->parent == FP_NONE) {
            journey->audience = strcmp(fp_node_string(node, "audience", ""), "employee") == 0
                                    ? FP_AUDIENCE_EMPLOYEE
                                    : FP_AUDIENCE_CUSTOMER;
            continue;
        }
        journey->audience = model->journeys[journey->parent].audience;
        journey->touchpoints = fp_build_refs(build, fp_node_list(node, "touchpoints"),
                                             FP_KIND_TOUCHPOINT, &journey->touchpoint_count);
        read_tenure(build, node, journey);
    }
    for (int i = 0; i < model->journey_count; i++) {
        if (model->journeys[i].parent == FP_NONE) {
            check_tenure_order(build, i);
            collect_touchpoints(build, i);
        }
    }
    set_only_journeys(build);
}
