/* How fast can JPEGs be decoded to grey at all? libjpeg-turbo, from memory, in as many threads as asked for.
 *
 *   cc -O2 -o turbojpeg_grey turbojpeg_grey.c -lturbojpeg -lpthread
 *   turbojpeg_grey THREADS DENOMINATOR ROUNDS < list of paths, one a line
 *
 * Reads the files first, then decodes all of them ROUNDS times at the scale 1/DENOMINATOR, and prints: files decoded,
 * files that are no JPEG it reads, pixels at full size, and the pictures a second of the fastest round. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <turbojpeg.h>

struct file {
    unsigned char *bytes;
    unsigned long length;
};

static struct file *files;
static long count, denominator;
static long next_file, decoded, failed, pixels;

static int scaled(int side) {
    tjscalingfactor factor = {1, (int)denominator};
    return TJSCALED(side, factor);
}

static void *decode_some(void *unused) {
    tjhandle handle = tjInitDecompress();
    unsigned char *grey = NULL;
    size_t room = 0;
    (void)unused;
    for (;;) {
        long at = __atomic_fetch_add(&next_file, 1, __ATOMIC_RELAXED);
        int width, height, sampling, colours;
        if (at >= count)
            break;
        struct file *file = &files[at];
        if (tjDecompressHeader3(handle, file->bytes, file->length, &width, &height, &sampling, &colours)) {
            __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
            continue;
        }
        size_t needed = (size_t)scaled(width) * scaled(height);
        if (needed > room) {
            free(grey);
            grey = malloc(room = needed);
        }
        if (grey == NULL || tjDecompress2(handle, file->bytes, file->length, grey, scaled(width), 0,
                                          scaled(height), TJPF_GRAY, 0)) {
            __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
            continue;
        }
        __atomic_fetch_add(&decoded, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&pixels, (long)width * height, __ATOMIC_RELAXED);
    }
    free(grey);
    tjDestroy(handle);
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int arguments, char **argument) {
    long room = 0, threads, rounds;
    char path[4096];
    double best = 0;
    if (arguments != 4) {
        fprintf(stderr, "usage: turbojpeg_grey THREADS DENOMINATOR ROUNDS < paths\n");
        return 2;
    }
    threads = atol(argument[1]);
    denominator = atol(argument[2]);
    rounds = atol(argument[3]);
    if (threads < 1 || threads > 256 || denominator < 1 || rounds < 1)
        return 2;
    while (fgets(path, sizeof path, stdin)) {
        path[strcspn(path, "\n")] = 0;
        FILE *from = fopen(path, "rb");
        if (from == NULL) {
            perror(path);
            return 1;
        }
        if (count == room)
            files = realloc(files, (room = 2 * room + 64) * sizeof *files);
        fseek(from, 0, SEEK_END);
        files[count].length = ftell(from);
        rewind(from);
        files[count].bytes = malloc(files[count].length);
        if (fread(files[count].bytes, 1, files[count].length, from) != files[count].length) {
            perror(path);
            return 1;
        }
        fclose(from);
        count++;
    }
    for (long round = 0; round < rounds; round++) {
        pthread_t thread[256];
        double started = now(), rate;
        next_file = decoded = failed = pixels = 0;
        for (long i = 0; i < threads; i++)
            pthread_create(&thread[i], NULL, decode_some, NULL);
        for (long i = 0; i < threads; i++)
            pthread_join(thread[i], NULL);
        rate = decoded / (now() - started);
        if (rate > best)
            best = rate;
    }
    printf("%ld %ld %ld %.1f\n", decoded, failed, pixels, best);
    return 0;
}
