// What Linux has and Swift's view of the C library leaves out: calls behind _GNU_SOURCE, the packet and
// TUN interfaces, and the loads and stores that a ring shared with the kernel needs. For the gateway.
#ifndef WEIR_LINUX_H
#define WEIR_LINUX_H

#if defined(__linux__)
// First, so that the kernel's headers leave the addresses to it.
#include <netinet/in.h>

#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/// `struct mmsghdr` of sendmmsg(2).
struct weir_message {
  struct msghdr header;
  unsigned int length;
};

static inline int weir_sendmmsg(int descriptor, struct weir_message *messages, unsigned int count,
                                int flags) {
  return (int)syscall(SYS_sendmmsg, descriptor, messages, count, flags);
}

/// sendto(2) with an address of whichever family.
static inline long weir_sendto(int descriptor, const void *bytes, size_t count, const void *address,
                               unsigned int length) {
  return sendto(descriptor, bytes, count, 0, (const struct sockaddr *)address, length);
}

/// bind(2) of a netlink socket to groups; netlink(7).
static inline int weir_bind_netlink(int descriptor, unsigned int groups) {
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
  return bind(descriptor, (struct sockaddr *)&address, sizeof address);
}

/// Keeps the calling thread on one processor, below 1024; sched_setaffinity(2).
static inline int weir_pin_thread(unsigned int processor) {
  unsigned long mask[1024 / (8 * sizeof(unsigned long))] = {0};
  if (processor >= 1024) return -1;
  mask[processor / (8 * sizeof(unsigned long))] |= 1ul << processor % (8 * sizeof(unsigned long));
  return (int)syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
}

/// A word that the kernel writes too: what it wrote before is seen after.
static inline uint32_t weir_load_acquire(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/// The same the other way round: what was written before is seen by the kernel.
static inline void weir_store_release(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/// Keeps CAP_NET_ADMIN, CAP_NET_RAW and, if `memory`, CAP_IPC_LOCK, as far as the thread has them, and nothing
/// else; capset(2).
static inline int weir_keep_network_capabilities(int memory) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return -1;
  const uint32_t kept =
      1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | (memory ? 1u << CAP_IPC_LOCK : 0);
  data[0].permitted &= kept;
  data[0].effective = data[0].permitted;
  data[0].inheritable = 0;
  data[1].permitted = data[1].effective = data[1].inheritable = 0;
  if (syscall(SYS_capset, &header, data) != 0) return -1;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/// A descriptor that is readable when one of those added to it is; epoll(7).
static inline int weir_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int weir_epoll_add(int set, int descriptor) {
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event);
}

/// Who is at the other end of a Unix socket: `struct ucred` of unix(7).
static inline int weir_peer(int descriptor, unsigned int *process, unsigned int *user) {
  struct { int process; unsigned int user, group; } peer;
  socklen_t length = sizeof peer;
  int result = getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length);
  if (result == 0) {
    *process = (unsigned int)peer.process;
    *user = peer.user;
  }
  return result;
}

/// ioctl(2) with a number for its argument.
static inline int weir_ioctl(int descriptor, unsigned long request, unsigned long value) {
  return ioctl(descriptor, request, value);
}

/// How many columns and lines a terminal has; ioctl_tty(2), TIOCGWINSZ.
static inline int weir_window_size(int descriptor, unsigned int *columns, unsigned int *lines) {
  struct winsize size;
  int result = ioctl(descriptor, TIOCGWINSZ, &size);
  if (result == 0) {
    *columns = size.ws_col;
    *lines = size.ws_row;
  }
  return result;
}

static const unsigned long weir_TUNSETIFF = TUNSETIFF;
static const unsigned long weir_TUNSETOFFLOAD = TUNSETOFFLOAD;
#endif

#endif
