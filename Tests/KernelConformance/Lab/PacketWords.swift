// A packet in a line, for a person who reads a difference.

import Conntrack
import Wire

enum PacketWords {
  /// `10.0.1.2:1000 > 198.51.100.2:80 tcp S seq 1 ack 0 win 64240, ttl 63, 40 bytes`.
  static func line(_ bytes: [UInt8], quoted: Bool = false) -> String {
    guard let shape = PacketShape(bytes) else { return "\(bytes.count) bytes that are no packet" }
    let span = bytes.rawSpan
    let at = shape.offset
    var source = Endpoint(shape.source, shape.family)
    var destination = Endpoint(shape.destination, shape.family)
    var words = "protocol \(shape.protocolNumber)"
    if shape.hasPorts && bytes.count >= at + 4 {
      source.port = span.uint16(at: at)
      destination.port = span.uint16(at: at + 2)
      words = protocolName(shape.protocolNumber).lowercased()
      if words == "tcp" && bytes.count >= at + 16 {
        words += " \(TCPFlags(rawValue: bytes[at + TCPField.flags]).letters)"
        words += " seq \(span.uint32(at: at + TCPField.sequence))"
        words += " ack \(span.uint32(at: at + TCPField.acknowledgement))"
        words += " win \(span.uint16(at: at + TCPField.window))"
        let data = at + Int(bytes[at + TCPField.dataOffset] >> 4) * 4
        if data < bytes.count && bytes.count - data < 200 {
          words += " text \(PayloadText.write(Array(bytes[data...])))"
        }
      }
    } else if shape.isICMP && bytes.count >= at + 8 {
      words = "icmp \(bytes[at])/\(bytes[at + 1])"
      if shape.isEcho(bytes) {
        words += " id \(span.uint16(at: at + 4)) seq \(span.uint16(at: at + 6))"
      } else if shape.isICMPError(bytes) && !quoted {
        words += " about {\(line(Array(bytes[(at + 8)...]), quoted: true))}"
      }
    }
    let hopLimit = bytes[shape.family == .ipv4 ? 8 : 7]
    return "\(source.text) > \(destination.text) \(words), ttl \(hopLimit), \(bytes.count) bytes"
  }
}
