// Steps of the other transport protocols: UDP-Lite, SCTP, ICMP messages that quote nothing, and packets
// spelt out; and their text form:
//
//   1 > lite length 4 coverage 8
//   1 > sctp tag 7 chunks COOKIE_ECHO.0.0102,DATA.3.00000001
//   1 > message 13/0 rest 65537 length 12
//   1 > raw 47 bytes 20000800
//   1 > udp length 4 keep 6

import Wire

struct UDPLiteStep: Hashable {
  /// `rfc`: over the pseudo header of RFC 3828; `right`: over the one Linux asks for.
  enum Checksum: String { case right, rfc, bad, absent }

  var length = 0
  /// How far the checksum reaches, bytes; 0: over all.
  var coverage: UInt16 = 0
  var checksum = Checksum.right
}

struct SCTPStep: Hashable {
  struct Chunk: Hashable {
    var type: UInt8
    var flags: UInt8 = 0
    var body: [UInt8] = []
    /// What the length field says, where that is not the truth.
    var lengthField: UInt16?
  }

  var tag: UInt32 = 0
  var chunks: [Chunk] = []
  var hasBadChecksum = false
}

/// Any ICMP or ICMPv6 message.
struct MessageStep: Hashable {
  var type: UInt8
  var code: UInt8 = 0
  /// Bytes 4 to 8.
  var rest: UInt32 = 0
  var length = 0
  var hasBadChecksum = false
}

/// A packet of any protocol.
struct RawStep: Hashable {
  var number: UInt8 = 253
  /// All behind the IP header.
  var bytes: [UInt8] = []
}

// MARK: - Packets

extension MadePacket {
  /// This packet with `length` bytes left behind its IP header; nil leaves all.
  func keeping(_ length: Int?) -> MadePacket {
    guard let length else { return self }
    var packet = self
    let header = PacketMaker.headerLength(bytes)
    guard length < bytes.count - header else { return self }
    packet.bytes = Array(bytes.prefix(header + length))
    if header == 40 && bytes[0] >> 4 == 6 {
      packet.bytes.store16(UInt16(length), at: 4)
    } else {
      let old = bytes.rawSpan.uint16(at: IPv4Field.totalLength)
      let new = UInt16(header + length)
      packet.bytes.store16(new, at: IPv4Field.totalLength)
      packet.bytes.store16(
        InternetChecksum.updated(
          bytes.rawSpan.uint16(at: IPv4Field.checksum), from: old, to: new),
        at: IPv4Field.checksum)
    }
    return packet
  }
}

extension PacketMaker {
  static func lite(
    _ step: UDPLiteStep, _ number: Int, from source: Endpoint, to destination: Endpoint,
    _ ip: IPFields
  ) -> [UInt8] {
    let family = source.family
    var datagram: [UInt8] = []
    for word in [source.port, destination.port, step.coverage, 0] {
      datagram += [UInt8(word >> 8), UInt8(truncatingIfNeeded: word)]
    }
    datagram += payload(step.length, number)
    let covered = step.coverage == 0 ? datagram.count : min(Int(step.coverage), datagram.count)
    if step.checksum != .absent {
      let pseudo = InternetChecksum.pseudoHeader(
        source: source.address, destination: destination.address,
        transportProtocol: step.checksum == .rfc ? IPProtocolNumber.udpLite : IPProtocolNumber.udp,
        length: step.checksum == .rfc || family == .ipv6 ? datagram.count : datagram.count & 0xff)
      let sum = InternetChecksum.sum(datagram.rawSpan, from: 0, to: covered, initial: pseudo)
      datagram.store16(
        InternetChecksum.udp(InternetChecksum.checksum(sum)), at: UDPField.checksum)
    }
    var bytes = PacketBuilder.ip(
      from: source, to: destination, transportProtocol: IPProtocolNumber.udpLite,
      payload: datagram, ip)
    if step.checksum == .bad { spoil(&bytes, at: UDPField.checksum) }
    return bytes
  }

  static func sctp(
    _ step: SCTPStep, from source: Endpoint, to destination: Endpoint, _ ip: IPFields
  ) -> [UInt8] {
    var chunks: [UInt8] = []
    for chunk in step.chunks {
      let length = chunk.lengthField ?? UInt16(4 + chunk.body.count)
      chunks += [chunk.type, chunk.flags, UInt8(length >> 8), UInt8(truncatingIfNeeded: length)]
      chunks += chunk.body
      while chunks.count % 4 != 0 { chunks.append(0) }
    }
    var bytes = PacketBuilder.sctp(
      from: source, to: destination, verificationTag: step.tag, chunks: chunks, ip)
    if step.hasBadChecksum { bytes[headerLength(bytes) + SCTPField.checksum] ^= 0x55 }
    return bytes
  }

  static func message(
    _ step: MessageStep, _ number: Int, from source: Endpoint, to destination: Endpoint,
    _ ip: IPFields
  ) -> [UInt8] {
    var bytes = PacketBuilder.icmp(
      from: source, to: destination, type: step.type, code: step.code, rest: step.rest,
      payload: payload(step.length, number), ip)
    if step.hasBadChecksum { spoil(&bytes, at: ICMPField.checksum) }
    return bytes
  }
}

// MARK: - Text

extension UDPLiteStep {
  var words: [String] {
    var words = ["lite", "length \(length)", "coverage \(coverage)"]
    if checksum != .right { words.append("checksum \(checksum.rawValue)") }
    return words
  }
}

extension SCTPStep.Chunk {
  /// `DATA`, `INIT_ACK`, `192`.
  private static func name(_ type: UInt8) -> String {
    let name = SCTPChunkType.name(type)
    return name.hasPrefix("chunk") ? "\(type)" : String(name.map { $0 == " " ? "_" : $0 })
  }

  /// `NAME.FLAGS.BODY`, and where the length is a lie, `.LENGTH`.
  var text: String {
    var text = "\(SCTPStep.Chunk.name(type)).\(flags).\(hexText(body))"
    if let lengthField { text += ".\(lengthField)" }
    return text
  }

  init?(_ text: Substring) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 3, let flags = UInt8(parts[1]),
      let type = (0...UInt8.max).first(where: { SCTPStep.Chunk.name($0) == parts[0] })
    else { return nil }
    self.init(
      type: type, flags: flags, body: hexBytes(parts[2]),
      lengthField: parts.count > 3 ? UInt16(parts[3]) : nil)
  }
}

extension SCTPStep {
  var words: [String] {
    var words = ["sctp", "tag \(tag)"]
    if !chunks.isEmpty { words.append("chunks \(chunks.map(\.text).joined(separator: ","))") }
    if hasBadChecksum { words.append("checksum bad") }
    return words
  }
}

extension MessageStep {
  var words: [String] {
    var words = ["message \(type)/\(code)", "rest \(rest)"]
    if length > 0 { words.append("length \(length)") }
    if hasBadChecksum { words.append("checksum bad") }
    return words
  }
}

extension RawStep {
  var words: [String] {
    ["raw \(number)"] + (bytes.isEmpty ? [] : ["bytes \(hexText(bytes))"])
  }
}

extension Step.Kind {
  /// - Parameters:
  ///   - kind: the first word.
  ///   - more: the second, where it has no name of its own.
  init?(protocolWords kind: Substring, more: Substring, _ values: [Substring: Substring]) {
    let isBad = values["checksum"] == "bad"
    switch kind {
    case "lite":
      self = .lite(
        UDPLiteStep(
          length: values["length"].flatMap { Int($0) } ?? 0,
          coverage: values["coverage"].flatMap { UInt16($0) } ?? 0,
          checksum: UDPLiteStep.Checksum(rawValue: String(values["checksum"] ?? "right")) ?? .right)
      )
    case "sctp":
      var chunks: [SCTPStep.Chunk] = []
      for text in (values["chunks"] ?? "").split(separator: ",") {
        guard let chunk = SCTPStep.Chunk(text) else { return nil }
        chunks.append(chunk)
      }
      self = .sctp(
        SCTPStep(
          tag: values["tag"].flatMap { UInt32($0) } ?? 0, chunks: chunks, hasBadChecksum: isBad))
    case "message":
      let parts = more.split(separator: "/").compactMap { UInt8($0) }
      guard parts.count == 2 else { return nil }
      self = .message(
        MessageStep(
          type: parts[0], code: parts[1], rest: values["rest"].flatMap { UInt32($0) } ?? 0,
          length: values["length"].flatMap { Int($0) } ?? 0, hasBadChecksum: isBad))
    case "raw":
      guard let number = UInt8(more) else { return nil }
      self = .raw(RawStep(number: number, bytes: hexBytes(values["bytes"] ?? "")))
    default: return nil
    }
  }
}
