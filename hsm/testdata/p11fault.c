/*
 * p11fault.so stands between the tests and SoftHSM and breaks things on command.
 *
 * It exports C_GetFunctionList only, which every PKCS#11 program goes through, copies the
 * list of the real module and replaces the calls below. A test controls it, and reads its
 * counters, through a file of 64 words of 8 bytes that both sides map into memory.
 *
 *   P11FAULT_MODULE  the real module
 *   P11FAULT_CTL     the control file
 *
 * gcc -shared -fPIC -O1 -Wall -Werror -I<miekg/pkcs11> -o p11fault.so p11fault.c -ldl -lpthread
 */
#define CK_PTR *
#define NULL_PTR 0
#define CK_DEFINE_FUNCTION(r, n) r n
#define CK_DECLARE_FUNCTION(r, n) r n
#define CK_DECLARE_FUNCTION_POINTER(r, n) r (*n)
#define CK_CALLBACK_FUNCTION(r, n) r (*n)
#include "pkcs11.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Words 1 to 31 are commands; main_test.go has the same list. */
enum command {
  SIGN_DELAY_US = 1, /* each signature takes this long */
  SIGN_RV,           /* C_Sign answers this, SIGN_RV_COUNT times */
  SIGN_RV_COUNT,
  REMOVED,      /* the token is out of its slot */
  LOSS,         /* each change loses all sessions, handles and logins */
  PIN_MAX,      /* the token counts wrong PINs: so many tries ... */
  PIN_LEFT,     /* ... and so many are left */
  HANG,         /* so many signatures do not return until it is 0 */
  LOGIN_RV,     /* C_Login answers this without looking at the PIN */
  MAX_SESSIONS, /* more sessions than this are refused */
  DEAD,         /* everything is CKR_DEVICE_ERROR until C_Finalize */
  WRONG_SIG,    /* so many signatures come back with a bit turned */
  PULLED,       /* only this token is out of its slot: its serial number, read as hex */
  CALL,         /* this one of enum call ... */
  CALL_RV,      /* ... answers this without doing anything, ... */
  CALL_COUNT,   /* ... so many times */
  LOGIN_HANG,   /* C_Login does not return until it is 0 */
  NO_PIN_FLAGS  /* the token does not say that wrong PINs were given, as TPMs do not */
};

/* The calls that CALL can name. */
enum call { OPEN_SESSION = 1, FIND_OBJECTS_INIT, FIND_OBJECTS, SIGN_INIT };

/* Words 32 to 63 are counters. */
enum counter {
  LOGINS = 32,
  LOGINS_BAD,
  FINALIZES,
  SESSIONS_OPEN,
  RACES, /* two threads in one session: a real module crashes */
  SIGNS,
  BUSY_US /* time inside C_Sign, of all sessions */
};

#define WORDS 64
#define SESSIONS 4096

static _Atomic uint64_t no_control[WORDS];
static _Atomic uint64_t *word = no_control;
static CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST shim;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
/* SoftHSM crashes when sessions are closed under a call: losses wait for calls to end. */
static pthread_rwlock_t inside = PTHREAD_RWLOCK_INITIALIZER;
static uint64_t seen_loss, seen_pull;
static _Atomic int hanging;
static struct session {
  CK_SESSION_HANDLE handle; /* 0: free */
  CK_SLOT_ID slot;
  _Atomic int busy;
} sessions[SESSIONS];

static struct session *session_of(CK_SESSION_HANDLE handle) {
  for (int i = 0; i < SESSIONS; i++)
    if (sessions[i].handle == handle) return &sessions[i];
  return 0;
}

static void forget_sessions(void) {
  for (int i = 0; i < SESSIONS; i++) sessions[i].handle = 0;
  word[SESSIONS_OPEN] = 0;
}

static void forget_sessions_on(CK_SLOT_ID slot) {
  for (int i = 0; i < SESSIONS; i++)
    if (sessions[i].handle && sessions[i].slot == slot) {
      sessions[i].handle = 0;
      word[SESSIONS_OPEN]--;
    }
}

/* within calls the real module, held against losses */
#define within(call)               \
  ({                               \
    pthread_rwlock_rdlock(&inside); \
    CK_RV rv_ = real->call;        \
    pthread_rwlock_unlock(&inside); \
    rv_;                           \
  })

static int pulled(CK_SLOT_ID slot) {
  CK_TOKEN_INFO info;
  char serial[sizeof info.serialNumber + 1] = {0};
  if (word[PULLED] == 0 || within(C_GetTokenInfo(slot, &info)) != CKR_OK) return 0;
  memcpy(serial, info.serialNumber, sizeof info.serialNumber);
  return strtoull(serial, 0, 16) == word[PULLED];
}

/* A loss takes effect at the next call, like a cable that was pulled in between. A token
 * that is pulled takes its sessions and its login with it. */
static void apply_loss(void) {
  if (word[LOSS] == seen_loss && word[PULLED] == seen_pull) return;
  int all = word[LOSS] != seen_loss;
  seen_loss = word[LOSS];
  seen_pull = word[PULLED];
  CK_SLOT_ID slots[SESSIONS];
  CK_ULONG n = SESSIONS;
  if (real->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK) n = 0;
  for (CK_ULONG i = 0; i < n; i++) {
    if (!all && !pulled(slots[i])) continue;
    pthread_rwlock_wrlock(&inside);
    real->C_CloseAllSessions(slots[i]);
    pthread_rwlock_unlock(&inside);
    forget_sessions_on(slots[i]);
  }
  if (all) forget_sessions();
}

static CK_RV slot_gate(CK_SLOT_ID slot) {
  pthread_mutex_lock(&mu);
  apply_loss();
  pthread_mutex_unlock(&mu);
  if (word[DEAD]) return CKR_DEVICE_ERROR;
  if (word[REMOVED] || pulled(slot)) return CKR_TOKEN_NOT_PRESENT;
  return CKR_OK;
}

static CK_RV session_gate(CK_SESSION_HANDLE handle, struct session **found) {
  pthread_mutex_lock(&mu);
  apply_loss();
  struct session *s = session_of(handle);
  CK_SLOT_ID slot = s ? s->slot : 0;
  pthread_mutex_unlock(&mu);
  if (found) *found = s;
  if (word[DEAD]) return CKR_DEVICE_ERROR;
  if (word[REMOVED] || (s && pulled(slot))) return CKR_DEVICE_REMOVED;
  return s ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
}

/* The word goes down by one; true when it was not 0 yet. */
static int take(enum command w) {
  uint64_t n = word[w];
  while (n > 0)
    if (atomic_compare_exchange_weak(&word[w], &n, n - 1)) return 1;
  return 0;
}

/* What the call must answer without doing anything; CKR_OK: what it does. */
static CK_RV answer(enum call c) { return word[CALL] == c && take(CALL_COUNT) ? word[CALL_RV] : CKR_OK; }

static CK_RV f_Finalize(CK_VOID_PTR reserved) {
  word[FINALIZES]++;
  word[DEAD] = 0;
  pthread_mutex_lock(&mu);
  forget_sessions();
  pthread_mutex_unlock(&mu);
  return real->C_Finalize(reserved);
}

static CK_RV f_GetSlotList(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR count) {
  if (word[DEAD]) return CKR_DEVICE_ERROR;
  if (word[REMOVED] && present) {
    *count = 0;
    return CKR_OK;
  }
  CK_ULONG room = *count;
  CK_RV rv = real->C_GetSlotList(present, list, count);
  if (rv != CKR_OK || list == 0 || word[PULLED] == 0) return rv;
  CK_ULONG kept = 0;
  for (CK_ULONG i = 0; i < *count && i < room; i++)
    if (!present || !pulled(list[i])) list[kept++] = list[i];
  *count = kept;
  return CKR_OK;
}

static CK_RV f_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  CK_RV rv = slot_gate(slot);
  if (rv != CKR_OK) return rv;
  rv = real->C_GetTokenInfo(slot, info);
  if (rv != CKR_OK) return rv;
  if (word[PIN_MAX]) {
    info->flags &= ~(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
    if (word[PIN_LEFT] < word[PIN_MAX]) info->flags |= CKF_USER_PIN_COUNT_LOW;
    if (word[PIN_LEFT] == 1) info->flags |= CKF_USER_PIN_FINAL_TRY;
    if (word[PIN_LEFT] == 0) info->flags |= CKF_USER_PIN_LOCKED;
  }
  if (word[NO_PIN_FLAGS]) info->flags &= ~(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
  if (word[MAX_SESSIONS]) info->ulMaxSessionCount = word[MAX_SESSIONS];
  return CKR_OK;
}

static CK_RV f_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR app, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR handle) {
  CK_RV rv = slot_gate(slot);
  if (rv != CKR_OK) return rv;
  if ((rv = answer(OPEN_SESSION)) != CKR_OK) return rv;
  if (word[MAX_SESSIONS] && word[SESSIONS_OPEN] >= word[MAX_SESSIONS]) return CKR_SESSION_COUNT;
  rv = within(C_OpenSession(slot, flags, app, notify, handle));
  if (rv != CKR_OK) return rv;
  pthread_mutex_lock(&mu);
  struct session *s = session_of(0);
  if (s) {
    s->handle = *handle;
    s->slot = slot;
    s->busy = 0;
  }
  word[SESSIONS_OPEN]++;
  pthread_mutex_unlock(&mu);
  return CKR_OK;
}

static CK_RV f_CloseSession(CK_SESSION_HANDLE handle) {
  struct session *s;
  CK_RV rv = session_gate(handle, &s);
  if (rv != CKR_OK) return rv;
  pthread_mutex_lock(&mu);
  s->handle = 0;
  word[SESSIONS_OPEN]--;
  pthread_mutex_unlock(&mu);
  return within(C_CloseSession(handle));
}

static CK_RV f_CloseAllSessions(CK_SLOT_ID slot) {
  pthread_mutex_lock(&mu);
  forget_sessions_on(slot);
  pthread_rwlock_wrlock(&inside);
  CK_RV rv = real->C_CloseAllSessions(slot);
  pthread_rwlock_unlock(&inside);
  pthread_mutex_unlock(&mu);
  return rv;
}

static CK_RV f_GetSessionInfo(CK_SESSION_HANDLE handle, CK_SESSION_INFO_PTR info) {
  CK_RV rv = session_gate(handle, 0);
  return rv != CKR_OK ? rv : within(C_GetSessionInfo(handle, info));
}

static CK_RV f_Login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  CK_RV rv = session_gate(handle, 0);
  if (rv != CKR_OK) return rv;
  if (user == CKU_SO) return within(C_Login(handle, user, pin, length));
  word[LOGINS]++;
  while (word[LOGIN_HANG]) usleep(1000);
  if (word[LOGIN_RV]) return word[LOGIN_RV];
  if (word[PIN_MAX] && word[PIN_LEFT] == 0) return CKR_PIN_LOCKED;
  rv = within(C_Login(handle, user, pin, length));
  if (rv == CKR_PIN_INCORRECT) {
    word[LOGINS_BAD]++;
    if (word[PIN_MAX]) word[PIN_LEFT]--;
  }
  if (rv == CKR_OK && word[PIN_MAX]) word[PIN_LEFT] = (uint64_t)word[PIN_MAX];
  return rv;
}

static CK_RV f_FindObjectsInit(CK_SESSION_HANDLE handle, CK_ATTRIBUTE_PTR template, CK_ULONG count) {
  CK_RV rv = session_gate(handle, 0);
  if (rv == CKR_OK) rv = answer(FIND_OBJECTS_INIT);
  return rv != CKR_OK ? rv : within(C_FindObjectsInit(handle, template, count));
}

static CK_RV f_FindObjects(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE_PTR objects, CK_ULONG max, CK_ULONG_PTR count) {
  CK_RV rv = session_gate(handle, 0);
  if (rv == CKR_OK) rv = answer(FIND_OBJECTS);
  return rv != CKR_OK ? rv : within(C_FindObjects(handle, objects, max, count));
}

static CK_RV f_SignInit(CK_SESSION_HANDLE handle, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) {
  CK_RV rv = session_gate(handle, 0);
  if (rv == CKR_OK) rv = answer(SIGN_INIT);
  return rv != CKR_OK ? rv : within(C_SignInit(handle, mechanism, key));
}

static void delay(void) {
  for (uint64_t left = word[SIGN_DELAY_US]; left > 0;) {
    uint64_t now = left > 900000 ? 900000 : left;
    usleep(now);
    left -= now;
  }
  if (word[HANG] == 0) return;
  if (atomic_fetch_add(&hanging, 1) < (int)word[HANG])
    while (word[HANG]) usleep(1000);
  atomic_fetch_sub(&hanging, 1);
}

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static CK_RV f_Sign(CK_SESSION_HANDLE handle, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR sig, CK_ULONG_PTR sig_length) {
  struct session *s;
  CK_RV rv = session_gate(handle, &s);
  if (rv != CKR_OK) return rv;
  if (sig == 0) return within(C_Sign(handle, data, length, sig, sig_length));
  if (atomic_fetch_add(&s->busy, 1)) word[RACES]++;
  word[SIGNS]++;
  uint64_t begun = now_us();
  delay();
  if (word[REMOVED] || pulled(s->slot))
    rv = CKR_DEVICE_REMOVED;
  else if (word[SIGN_RV] && take(SIGN_RV_COUNT))
    rv = word[SIGN_RV];
  if (rv == CKR_OK) {
    rv = within(C_Sign(handle, data, length, sig, sig_length));
    if (rv == CKR_OK && take(WRONG_SIG)) sig[0] ^= 1;
  } else {
    CK_BYTE end[1024]; /* leave no operation open in the real session */
    CK_ULONG end_length = sizeof end;
    within(C_Sign(handle, data, length, end, &end_length));
  }
  word[BUSY_US] += now_us() - begun;
  atomic_fetch_sub(&s->busy, 1);
  return rv;
}

static int load(void) {
  const char *module = getenv("P11FAULT_MODULE"), *control = getenv("P11FAULT_CTL");
  if (!module || !control) return 0;
  void *library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
  if (!library) return 0;
  CK_RV (*list)(CK_FUNCTION_LIST_PTR_PTR) = (CK_RV(*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(library, "C_GetFunctionList");
  if (!list || list(&real) != CKR_OK) return 0;
  int fd = open(control, O_RDWR);
  if (fd < 0) return 0;
  void *map = mmap(0, WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (map == MAP_FAILED) return 0;
  word = map;
  seen_loss = word[LOSS];
  return 1;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
  pthread_mutex_lock(&mu);
  if (!real) {
    if (!load()) {
      pthread_mutex_unlock(&mu);
      return CKR_GENERAL_ERROR;
    }
    shim = *real; /* what is not listed goes straight through */
    shim.C_GetFunctionList = C_GetFunctionList;
    shim.C_Finalize = f_Finalize;
    shim.C_GetSlotList = f_GetSlotList;
    shim.C_GetTokenInfo = f_GetTokenInfo;
    shim.C_OpenSession = f_OpenSession;
    shim.C_CloseSession = f_CloseSession;
    shim.C_CloseAllSessions = f_CloseAllSessions;
    shim.C_GetSessionInfo = f_GetSessionInfo;
    shim.C_Login = f_Login;
    shim.C_FindObjectsInit = f_FindObjectsInit;
    shim.C_FindObjects = f_FindObjects;
    shim.C_SignInit = f_SignInit;
    shim.C_Sign = f_Sign;
  }
  pthread_mutex_unlock(&mu);
  *out = &shim;
  return CKR_OK;
}
