// TFTP (RFC 1350): the answer to a request comes from a port of the server's choosing to the one the
// request came from.

enum TFTPHelper {
  /// Whether a packet with this opcode opens a transfer: RRQ and WRQ.
  static func opensTransfer(_ opcode: UInt16) -> Bool { opcode == 1 || opcode == 2 }
}
