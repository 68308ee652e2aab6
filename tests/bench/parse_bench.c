/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What decoding costs: parse_bench FILE.jsonl [rounds]
 * One message a line. Prints CPU ns a message (= CPU s per million × 1000) of fp_decode, of
 * fp_json_parse alone and of the On-Demand floor, best of five interleaved runs in one process. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/event.h"

#define RUNS 5
#define MESSAGES_MAX 65536
#define PADDING 64

uint64_t parse_floor(const char *text, size_t len);

static struct fp_record records[MESSAGES_MAX];
static size_t record_count, byte_count;

static void load(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    while (record_count < MESSAGES_MAX && (len = getline(&line, &size, file)) > 0) {
        char *copy = calloc(1, (size_t)len + PADDING);
        if (copy == NULL)
            abort();
        len -= line[len - 1] == '\n';
        memcpy(copy, line, (size_t)len);
        records[record_count++] = (struct fp_record){.value = copy, .len = (size_t)len};
        byte_count += (size_t)len;
    }
    free(line);
    fclose(file);
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint64_t decode_one(struct fp_decoder *decoder, const struct fp_record *record)
{
    static struct fp_event event;
    struct fp_error err;
    if (fp_decode(decoder, record, &event, &err) == FP_OK)
        return (uint64_t)event.type + event.id.len + 1;
    fprintf(stderr, "%s at %s: %s\n", err.code, err.where, err.what);
    exit(1);
}

static uint64_t parse_one(struct fp_json_reader *reader, const struct fp_record *record)
{
    const struct fp_json_node *nodes;
    uint32_t count;
    if (fp_json_parse(reader, record->value, record->len, &nodes, &count, NULL) != FP_OK)
        exit(1);
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: parse_bench FILE.jsonl [rounds]\n");
        return 2;
    }
    load(argv[1]);
    long rounds = argc > 2 ? atol(argv[2]) : 20000;
    struct fp_decoder *decoder = fp_decoder_new(NULL);
    struct fp_json_reader *reader = fp_json_reader_new(NULL);
    if (decoder == NULL || reader == NULL || record_count == 0 || rounds < 1)
        return 1;
    static const char *const names[] = {"fp_decode", "fp_json_parse", "On-Demand floor"};
    double best[3] = {1e300, 1e300, 1e300};
    volatile uint64_t sink = 0;
    for (int run = 0; run < RUNS; run++) {
        for (int kind = 0; kind < 3; kind++) {
            double start = cpu_ns();
            for (long round = 0; round < rounds; round++)
                for (size_t i = 0; i < record_count; i++)
                    sink += kind == 0   ? decode_one(decoder, &records[i])
                            : kind == 1 ? parse_one(reader, &records[i])
                                        : parse_floor(records[i].value, records[i].len);
            double each = (cpu_ns() - start) / ((double)rounds * (double)record_count);
            best[kind] = each < best[kind] ? each : best[kind];
        }
    }
    printf("%zu messages, mean %.0f B\n", record_count, (double)byte_count / (double)record_count);
    for (int kind = 0; kind < 3; kind++)
        printf("%-16s %6.0f ns = %.3f CPU-s/M, %.2f x floor\n", names[kind], best[kind],
               best[kind] / 1000, best[kind] / best[2]);
    fp_json_reader_free(reader);
    fp_decoder_free(decoder);
    return 0;
}
