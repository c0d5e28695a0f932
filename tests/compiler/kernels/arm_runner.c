// Runs one kernel under user-mode emulation of AArch64 Linux, without a C library.
//
// Standard input: int64 count of tensors; for each: int64 DLPack type code, bits, rank, extents, and
// its bytes. Standard output: the last tensor with GUARD bytes on either side. Tensors lie between
// guard zones of 0xFF, which is NaN in float32. Exits with 1 if the kernel fails.
#include <stddef.h>
#include <stdint.h>

enum { GUARD = 256, ALIGNMENT = 64, DLTENSOR = 7, CPU = 1, MOST = 16 };

typedef struct { int32_t type, id; } Device;
typedef struct { uint8_t code, bits; uint16_t lanes; } DataType;
typedef struct {
  void *data; Device device; int32_t rank; DataType dtype;
  int64_t *shape, *strides; uint64_t offset;
} Tensor;  // DLPack's DLTensor
typedef struct { int32_t type; uint32_t padding; void *value; } Any;  // TVMFFIAny

int __tvm_ffi_kernel(void *self, const Any *args, int32_t count, Any *result);

static unsigned char arena[1 << 26] __attribute__((aligned(64)));
static size_t used;

static long call(long number, long a, long b, long c) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
  return x0;
}

static void leave(long code) { for (;;) call(93, code, 0, 0); }

static void transfer(long number, long file, void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    long moved = call(number, file, (long)((char *)data + done), (long)(size - done));
    if (moved <= 0) leave(2);
    done += (size_t)moved;
  }
}

static int64_t number(void) { int64_t value; transfer(63, 0, &value, sizeof value); return value; }

void *memset(void *to, int value, size_t size) {
  for (size_t i = 0; i < size; i++) ((volatile unsigned char *)to)[i] = (unsigned char)value;
  return to;
}

void *memcpy(void *to, const void *from, size_t size) {
  for (size_t i = 0; i < size; i++)
    ((volatile unsigned char *)to)[i] = ((const unsigned char *)from)[i];
  return to;
}

static void *allocate(size_t size) {
  unsigned char *start = arena + used;
  used += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (used > sizeof arena) leave(3);
  return start;
}

// What generated code asks of TVM's runtime; a loader would fill in the pointers.
static void *allocate_workspace(int type, int id, uint64_t size, int code, int bits) {
  (void)type, (void)id, (void)code, (void)bits;
  return allocate(size);
}
static int free_workspace(int type, int id, void *data) {
  (void)type, (void)id, (void)data;
  return 0;
}
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int) = allocate_workspace;
int (*__TVMBackendFreeWorkspace)(int, int, void *) = free_workspace;
void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *text) {
  (void)kind, (void)text;
  leave(4);
}
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  (void)kind, (void)parts, (void)count;
  leave(4);
}

void _start(void) {
  static Tensor tensors[MOST];
  static Any arguments[MOST];
  static int64_t shapes[MOST][8];
  int64_t count = number(), size = 0;
  unsigned char *zone = NULL;
  for (int64_t i = 0; i < count; i++) {
    Tensor *t = &tensors[i];
    int64_t code = number(), bits = number();
    t->rank = (int32_t)number();
    size = bits / 8;
    for (int32_t axis = 0; axis < t->rank; axis++) size *= shapes[i][axis] = number();
    zone = allocate((size_t)size + 2 * GUARD);
    memset(zone, 0xFF, (size_t)size + 2 * GUARD);
    transfer(63, 0, zone + GUARD, (size_t)size);
    t->data = zone + GUARD;
    t->device.type = CPU;
    t->dtype.code = (uint8_t)code, t->dtype.bits = (uint8_t)bits, t->dtype.lanes = 1;
    t->shape = shapes[i];
    arguments[i].type = DLTENSOR, arguments[i].value = t;
  }
  Any result = {0};
  if (__tvm_ffi_kernel(NULL, arguments, (int32_t)count, &result)) leave(1);
  transfer(64, 1, zone, (size_t)size + 2 * GUARD);
  leave(0);
}
