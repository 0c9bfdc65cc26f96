// Gives memory back. Processes that live as long as a job are many: each page of theirs counts.

#include "launch.h"

#include <sys/mman.h>
#include <sys/syscall.h>

enum {
  STACK_SPAN = 256 << 10, // more than a launch ever uses
  FRAME_SLACK = 2048,     // the frames of the calls made here
};

// Set by the linker: the begin and the end of what is written at run time.
extern char __bss_start[], _end[];

long memory_syscall(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#else
#error "joblet-launch knows x86_64 and aarch64"
#endif
}

void memory_drop_stack(void) {
  char here;
  uintptr_t end = ((uintptr_t)&here - FRAME_SLACK) & ~(uintptr_t)(PAGE - 1);
  // What of it is not mapped is not there to be given back.
  memory_syscall(SYS_madvise, (long)(end - STACK_SPAN), STACK_SPAN, MADV_DONTNEED, 0);
}

// The guard of a protected stack lies in this data: it must not be looked at before and after.
#if __has_attribute(no_stack_protector)
__attribute__((no_stack_protector))
#endif
void memory_drop_data(void) {
#ifndef __SANITIZE_ADDRESS__
  uintptr_t begin = ((uintptr_t)__bss_start + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  uintptr_t end = ((uintptr_t)_end + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  memory_syscall(SYS_madvise, (long)begin, (long)(end - begin), MADV_DONTNEED, 0);
#endif
}
