// Tells when the machine's interfaces, addresses or routes have changed: rtnetlink(7)'s announcements.

#if os(Linux)
  import CLinux
  import Glibc

  /// A socket that hears of changes.
  public final class MachineWatch: Sendable {
    private let socket: Descriptor

    public init() throws(SystemError) {
      let kind =
        Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        | Int32(SOCK_NONBLOCK.rawValue)
      socket = try Descriptor(Glibc.socket(AF_NETLINK, kind, NETLINK_ROUTE), "rtnetlink")
      let result = weir_bind_netlink(
        socket.number,
        UInt32(
          RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR
            | RTMGRP_IPV6_ROUTE))
      guard result == 0 else { throw SystemError("rtnetlink") }
    }

    /// Whether anything has changed since the last call.
    public func hasChanged() -> Bool {
      var room = [UInt8](repeating: 0, count: 1 << 16)
      var hasChanged = false
      while true {
        // The kernel writes at most `count` bytes into the array.
        let got = unsafe room.withUnsafeMutableBytes { room in
          unsafe recv(socket.number, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
        }
        // What did not fit into the socket's room has changed as well.
        if got < 0 && errno != ENOBUFS && errno != EINTR { return hasChanged }
        hasChanged = true
      }
    }
  }
#endif
