/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/subject.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_MIN 16
#define KEY_MAX 4096

struct fp_subject_key {
    EVP_MAC *mac;
    EVP_MAC_CTX *keyed; /* initialised with the key; started again for each computation */
};

static size_t read_key(const char *path, unsigned char *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 0;
    size_t len = fread(bytes, 1, KEY_MAX, file);
    fclose(file);
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r' || bytes[len - 1] == ' '))
        len--;
    return len;
}

enum fp_status fp_subject_key_open(const char *path, struct fp_subject_key **key,
                                   struct fp_error *err)
{
    unsigned char bytes[KEY_MAX];
    *key = NULL;
    if (path == NULL || *path == '\0')
        return FP_OK;
    errno = 0;
    size_t len = read_key(path, bytes);
    if (len < KEY_MIN)
        return fp_fail(err, FP_FATAL, "subject_key", "subject_key_file",
                       "%s: the key needs at least %d bytes; make one with: openssl rand -hex 32",
                       errno ? "the file cannot be read" : "too short", KEY_MIN);
    struct fp_subject_key *new = calloc(1, sizeof *new);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    if (new)
        new->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (new &&new->mac)
        new->keyed = EVP_MAC_CTX_new(new->mac);
    bool ok = new &&new->keyed &&EVP_MAC_init(new->keyed, bytes, len, params) == 1;
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (!ok) {
        fp_subject_key_free(new);
        return fp_fail(err, FP_FATAL, "subject_key", "subject_key_file",
                       "HMAC-SHA-256 is not available");
    }
    *key = new;
    return FP_OK;
}

void fp_subject_key_free(struct fp_subject_key *key)
{
    if (key == NULL)
        return;
    EVP_MAC_CTX_free(key->keyed);
    EVP_MAC_free(key->mac);
    free(key);
}

bool fp_subject_pseudonym(struct fp_subject_key *key, struct fp_slice subject,
                          uint8_t out[FP_PSEUDONYM_LEN])
{
    if (key == NULL || subject.at == NULL)
        return false;
    uint8_t digest[FP_PSEUDONYM_LEN];
    size_t len = 0;
    /* without a key it starts again with the one it has: the key's two blocks are not hashed anew,
     * and nothing is allocated, as a duplicate of the context would be */
    bool ok = EVP_MAC_init(key->keyed, NULL, 0, NULL) == 1 &&
              EVP_MAC_update(key->keyed, (const unsigned char *)subject.at, subject.len) == 1 &&
              EVP_MAC_final(key->keyed, digest, &len, sizeof digest) == 1 && len == sizeof digest;
    if (!ok)
        abort(); /* storing a wrong or no pseudonym would break erasure silently */
    memcpy(out, digest, sizeof digest);
    return true;
}
