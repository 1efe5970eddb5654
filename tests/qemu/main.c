/* Prints the bits of the scores of both exported models for some inputs: here, or on a chip without an operating system. */
#include <stdint.h>

#ifdef BARE
#include <stddef.h>

void *memset(void *to, int byte, size_t n) {
    for (unsigned char *at = to; n > 0; n -= 1) *at++ = (unsigned char)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t n) {
    const unsigned char *source = from;
    for (unsigned char *at = to; n > 0; n -= 1) *at++ = *source++;
    return to;
}

/* Asks the debugger. */
static long ask(long what, const void *argument) {
#if defined(__arm__)
    register long r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#else
    register long a0 __asm__("a0") = what;
    register const void *a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n.option norvc\n.balign 16\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop" : "+r"(a0) : "r"(a1) : "memory");
    return a0;
#endif
}

static void print(const char *text) {
    ask(4, text);
}
#else
#include <stdio.h>

static void print(const char *text) {
    fputs(text, stdout);
}
#endif

void digits_run(const float x[64], float y[10]);
void digits_int8_run(const float x[64], float y[10]);

int main(void) {
    for (unsigned i = 0; i < 20; i += 1) {
        float x[64], y[2][10];
        for (unsigned j = 0; j < 64; j += 1) x[j] = (float)((i * 37 + j * j * 11) % 17) / 16.0f;
        digits_run(x, y[0]);
        digits_int8_run(x, y[1]);
        for (unsigned k = 0; k < 20; k += 1) {
            char line[10] = "00000000 ";
            union { float number; uint32_t bits; } score = { y[k / 10][k % 10] };
            for (int place = 7; place >= 0; place -= 1, score.bits >>= 4) line[place] = "0123456789abcdef"[score.bits & 15];
            print(line);
        }
        print("\n");
    }
    return 0;
}

#ifdef BARE
extern char stack[];

__attribute__((used, noreturn)) static void start(void) {
#if defined(__arm__)
    /* The floating-point unit is off after a reset. */
    *(volatile unsigned *)0xe000ed88 |= 0xfu << 20;
    __asm__ volatile("dsb\nisb");
#endif
    main();
    ask(0x18, (const void *)0x20026);
    for (;;) {
    }
}

#if defined(__arm__)
__attribute__((used, section(".first"))) static void *const vectors[2] = { stack, start };
#else
__asm__(".section .first, \"ax\"\n.globl first\nfirst:\nla sp, stack\nj start\n");
#endif
#endif
