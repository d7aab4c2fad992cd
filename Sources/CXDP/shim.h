// libxdp's sockets and its program for them, in the few steps that a port needs: its rings are inline functions
// that Swift cannot call, and its own way to attach the program leaves it behind when the process is killed.
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#ifndef WEIR_XDP_H
#define WEIR_XDP_H

/// How many frames one call sends at most (XDP_MAX_TX_SKB_BUDGET), which older headers lack.
#define WEIR_XDP_SEND_BUDGET 9

/// Loads libxdp's program that gives each queue's frames to the socket in its map. The program and the map live
/// as long as the descriptors.
/// - Returns: 0, or a negative errno.
static inline int weir_xdp_load(int *program, int *map) {
  libbpf_set_print(NULL);
  libxdp_set_print(NULL);
  struct xdp_program *found = xdp_program__find_file("xsk_def_xdp_prog.o", "xdp", NULL);
  long error = libxdp_get_error(found);
  if (error) return (int)error;
  struct bpf_object *object = xdp_program__bpf_obj(found);
  int result = bpf_object__load(object);
  if (result == 0) {
    struct bpf_program *first = bpf_object__next_program(object, NULL);
    *program = dup(bpf_program__fd(first));
    *map = dup(bpf_object__find_map_fd_by_name(object, "xsks_map"));
    if (*program < 0 || *map < 0) result = -EBADF;
  }
  xdp_program__close(found);
  return result;
}

/// Puts the program before an interface, for as long as the descriptor that this returns is open.
/// - Parameter isGeneric: before the stack instead of in the driver.
/// - Returns: the descriptor, or a negative errno.
static inline int weir_xdp_attach(int program, int interface, int isGeneric) {
  LIBBPF_OPTS(bpf_link_create_opts, options,
              .flags = isGeneric ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
  int link = bpf_link_create(program, interface, BPF_XDP, &options);
  return link < 0 ? -errno : link;
}

/// A socket of one queue, its memory's and its own rings.
struct weir_xsk {
  struct xsk_ring_prod fill, transmit;
  struct xsk_ring_cons completion, receive;
  struct xsk_umem *memory;
  struct xsk_socket *socket;
  int descriptor;
};

static inline void weir_xsk_close(struct weir_xsk *queue) {
  if (queue->socket) xsk_socket__delete(queue->socket);
  if (queue->memory) xsk_umem__delete(queue->memory);
  queue->socket = NULL;
  queue->memory = NULL;
}

/// - Parameters:
///   - area: `chunks` times `chunk` bytes, at a page's begin, that outlive the socket.
///   - map: where the program looks for the socket.
/// - Returns: 0, or a negative errno: -EINVAL where there is no such queue.
static inline int weir_xsk_open(struct weir_xsk *queue, const char *device, uint32_t number,
                                void *area, uint32_t chunk, uint32_t chunks, int map) {
  const struct xsk_umem_config memory = {.fill_size = chunks, .comp_size = chunks,
                                         .frame_size = chunk, .frame_headroom = 0, .flags = 0};
  const struct xsk_socket_config socket = {.rx_size = chunks, .tx_size = chunks,
                                           .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
                                           .xdp_flags = 0, .bind_flags = XDP_USE_NEED_WAKEUP};
  int result = xsk_umem__create(&queue->memory, area, (uint64_t)chunk * chunks, &queue->fill,
                                &queue->completion, &memory);
  if (result != 0) return result;
  result = xsk_socket__create(&queue->socket, device, number, queue->memory, &queue->receive,
                              &queue->transmit, &socket);
  if (result == 0) {
    queue->descriptor = xsk_socket__fd(queue->socket);
    const int budget = (int)chunks;
    // Kernels before 6.17 send 32 at a time.
    setsockopt(queue->descriptor, SOL_XDP, WEIR_XDP_SEND_BUDGET, &budget, sizeof budget);
    result = xsk_socket__update_xskmap(queue->socket, map);
  }
  if (result != 0) weir_xsk_close(queue);
  return result;
}

/// How many frames have come, at most `most`; the first is number `first`.
static inline uint32_t weir_xsk_peek(struct weir_xsk *queue, uint32_t most, uint32_t *first) {
  return xsk_ring_cons__peek(&queue->receive, most, first);
}

static inline void weir_xsk_frame(struct weir_xsk *queue, uint32_t number, uint64_t *address,
                                  uint32_t *length) {
  const struct xdp_desc *frame = xsk_ring_cons__rx_desc(&queue->receive, number);
  *address = frame->addr;
  *length = frame->len;
}

/// Done with `count` frames from the first peeked on.
static inline void weir_xsk_release(struct weir_xsk *queue, uint32_t count) {
  xsk_ring_cons__release(&queue->receive, count);
}

/// Room for the kernel to write a frame to. The ring has a place for every chunk.
static inline void weir_xsk_give(struct weir_xsk *queue, uint64_t address) {
  uint32_t place;
  if (xsk_ring_prod__reserve(&queue->fill, 1, &place) != 1) return;
  *xsk_ring_prod__fill_addr(&queue->fill, place) = address;
  xsk_ring_prod__submit(&queue->fill, 1);
}

/// A driver that has run out of room wants to be told that there is some again.
static inline void weir_xsk_wake_receiver(struct weir_xsk *queue) {
  if (xsk_ring_prod__needs_wakeup(&queue->fill))
    recvfrom(queue->descriptor, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/// Puts a frame on its way.
/// - Returns: 1; 0 where the ring is full.
static inline uint32_t weir_xsk_put(struct weir_xsk *queue, uint64_t address, uint32_t length) {
  uint32_t place;
  if (xsk_ring_prod__reserve(&queue->transmit, 1, &place) != 1) return 0;
  struct xdp_desc *frame = xsk_ring_prod__tx_desc(&queue->transmit, place);
  frame->addr = address;
  frame->len = length;
  frame->options = 0;
  xsk_ring_prod__submit(&queue->transmit, 1);
  return 1;
}

/// Frames the kernel has not taken yet.
static inline uint32_t weir_xsk_pending(struct weir_xsk *queue) {
  return queue->transmit.size - xsk_prod_nb_free(&queue->transmit, queue->transmit.size);
}

/// Has the kernel send what was put.
/// - Returns: 0, or a negative errno.
static inline int weir_xsk_kick(struct weir_xsk *queue) {
  if (!xsk_ring_prod__needs_wakeup(&queue->transmit)) return 0;
  return sendto(queue->descriptor, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0;
}

/// The next frame that was sent, whose chunk is free again.
/// - Returns: 1; 0 where there is none.
static inline uint32_t weir_xsk_completed(struct weir_xsk *queue, uint64_t *address) {
  uint32_t place;
  if (xsk_ring_cons__peek(&queue->completion, 1, &place) != 1) return 0;
  *address = *xsk_ring_cons__comp_addr(&queue->completion, place);
  xsk_ring_cons__release(&queue->completion, 1);
  return 1;
}

/// Frames lost since the socket was opened for want of room in its rings or memory.
static inline uint64_t weir_xsk_lost(struct weir_xsk *queue) {
  struct xdp_statistics all = {0};
  socklen_t length = sizeof all;
  if (getsockopt(queue->descriptor, SOL_XDP, XDP_STATISTICS, &all, &length) != 0) return 0;
  return all.rx_dropped + all.rx_ring_full + all.rx_fill_ring_empty_descs;
}

#endif
