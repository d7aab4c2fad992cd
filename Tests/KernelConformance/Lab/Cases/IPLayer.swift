// What a step says of its packet's IP layer beyond the usual, whatever it carries: header fields,
// options, extension headers, being one fragment of a larger packet, and bytes that are wrong.

import Wire

struct IPLayer: Hashable {
  /// An IPv6 extension header: its number, what stands behind its next header and length bytes, and
  /// the length byte where it shall not be the right one.
  struct Extension: Hashable {
    var number: UInt8
    var body: [UInt8] = []
    var length: UInt8?
  }

  /// Bytes of the packet behind its IP header (IPv6: behind the headers before the fragment header),
  /// sent as a fragment. Beyond the packet's end come zeros.
  struct Piece: Hashable {
    var start: Int
    var end: Int
    /// Nil: whether the packet goes on behind `end`.
    var more: Bool?
  }

  struct Edit: Hashable {
    var offset: Int
    var bytes: [UInt8]
  }

  /// To whom the frame is addressed on its link.
  enum Frame: String { case unicast, broadcast, multicast, other }

  var trafficClass: UInt8 = 0
  var flowLabel: UInt32 = 0
  /// Nil: the step's number. All pieces of one packet have the same.
  var identification: UInt16?
  var dontFragment = false
  /// IPv4.
  var options: [UInt8] = []
  var extensions: [Extension] = []
  var source: IPAddress?
  var destination: IPAddress?
  var piece: Piece?
  /// Behind everything else; the IPv4 header's checksum follows.
  var edits: [Edit] = []
  /// The packet ends there, whatever its header says.
  var cut: Int?
  /// Bytes behind the packet.
  var trailing = 0
  var hasBadChecksum = false
  var frame = Frame.unicast
  /// Where it is sent, if not where its sender is.
  var port: Port?
}

// MARK: - The packet

extension IPLayer {
  /// - Parameters:
  ///   - bytes: a packet with a plain IP header.
  ///   - identificationBase: added to what the step says, so that fragments of one run never meet
  ///     those of another.
  func applied(
    to bytes: [UInt8], _ family: AddressFamily, identificationBase: UInt16
  ) -> [UInt8] {
    if self == IPLayer() { return bytes }
    let id = identification.map { $0 &+ identificationBase }
    var packet =
      family == .ipv4 ? ipv4(bytes, id) : ipv6(bytes, id ?? 0, identificationBase)
    for edit in edits {
      for (index, byte) in edit.bytes.enumerated() where edit.offset + index < packet.count {
        packet[edit.offset + index] = byte
      }
    }
    if family == .ipv4 { IPLayer.completeIPv4(&packet, spoilt: hasBadChecksum) }
    if let cut { packet = Array(packet.prefix(max(1, cut))) }
    return packet + [UInt8](repeating: 0xee, count: trailing)
  }

  private func ipv4(_ bytes: [UInt8], _ id: UInt16?) -> [UInt8] {
    var header = Array(bytes[..<20])
    let data = bytes[20...]
    header[1] = trafficClass
    if let id { header.store16(id, at: IPv4Field.identification) }
    var padded = Array(options.prefix(40))
    while padded.count % 4 != 0 { padded.append(0) }
    header += padded
    header[0] = 0x40 + UInt8(header.count / 4)
    var fragment: UInt16 = dontFragment ? 0x4000 : 0
    var packet = header
    if let piece {
      fragment |= UInt16(truncatingIfNeeded: piece.start / 8) & 0x1fff
      if piece.more ?? (piece.end < data.count) { fragment |= 0x2000 }
      packet += IPLayer.bytes(of: Array(data), piece)
    } else {
      packet += data
    }
    packet.store16(fragment, at: IPv4Field.fragment)
    packet.store16(UInt16(truncatingIfNeeded: packet.count), at: IPv4Field.totalLength)
    return packet
  }

  private func ipv6(_ bytes: [UInt8], _ id: UInt16, _ base: UInt16) -> [UInt8] {
    var packet = Array(bytes[..<40])
    let word = UInt32(6) << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xf_ffff
    packet.store16(UInt16(word >> 16), at: 0)
    packet.store16(UInt16(truncatingIfNeeded: word), at: 2)
    // The fragment header of a piece goes where a bare 44 stands, else behind all others.
    let isPlace = { (header: Extension) in header.number == 44 && header.body.isEmpty }
    let place = piece == nil ? nil : extensions.firstIndex(where: isPlace) ?? extensions.count
    let headers = extensions.filter { !isPlace($0) }.map { header in
      var header = header
      if header.number == IPProtocolNumber.fragment, header.body.count == 6 {
        header.body.store16(header.body.rawSpan.uint16(at: 4) &+ base, at: 4)
      }
      return header
    }
    let before = headers.prefix(place ?? headers.count)
    let behind = headers.dropFirst(before.count)
    var inner = IPLayer.chain(behind, bytes[6])
    inner.bytes += bytes[40...]
    var first = inner.first
    var rest = inner.bytes
    if let piece {
      let word =
        UInt16(truncatingIfNeeded: piece.start) & 0xfff8
        | (piece.more ?? (piece.end < rest.count) ? 1 : 0)
      var header: [UInt8] = [first, 0]
      header.append(UInt8(word >> 8))
      header.append(UInt8(truncatingIfNeeded: word))
      header += [0x5e, 0xed, UInt8(id >> 8), UInt8(truncatingIfNeeded: id)]
      rest = header + IPLayer.bytes(of: rest, piece)
      first = IPProtocolNumber.fragment
    }
    let outer = IPLayer.chain(before, first)
    packet[6] = outer.first
    packet += outer.bytes + rest
    packet.store16(UInt16(truncatingIfNeeded: packet.count - 40), at: IPv6Field.payloadLength)
    return packet
  }

  private static func bytes(of data: [UInt8], _ piece: Piece) -> [UInt8] {
    guard piece.start < piece.end else { return [] }
    return (piece.start..<piece.end).map { $0 < data.count ? data[$0] : 0 }
  }

  private static func chain(
    _ headers: ArraySlice<Extension>, _ last: UInt8
  ) -> (first: UInt8, bytes: [UInt8]) {
    var bytes: [UInt8] = []
    for (index, header) in zip(headers.indices, headers) {
      let next = index + 1 < headers.endIndex ? headers[index + 1].number : last
      let whole = header.body.count + 2
      let length: Int =
        switch header.number {
        case IPProtocolNumber.fragment: 0
        case IPProtocolNumber.ah: whole / 4 - 2
        default: (whole + 7) / 8 - 1
        }
      bytes += [next, header.length ?? UInt8(truncatingIfNeeded: length)] + header.body
      // Whole units of 8; the fragment header and AH are as long as is said.
      if header.number != IPProtocolNumber.fragment && header.number != IPProtocolNumber.ah {
        bytes += [UInt8](repeating: 0, count: (8 - whole % 8) % 8)
      }
    }
    return (headers.first?.number ?? last, bytes)
  }

  private static func completeIPv4(_ packet: inout [UInt8], spoilt: Bool) {
    let length = Int(packet[0] & 15) * 4
    guard length >= 20, length <= packet.count else { return }
    packet.store16(0, at: IPv4Field.checksum)
    let sum = InternetChecksum.sum(packet.rawSpan, from: 0, to: length)
    packet.store16(
      InternetChecksum.checksum(sum) ^ (spoilt ? 0x0100 : 0), at: IPv4Field.checksum)
  }
}

// MARK: - Text

extension IPLayer {
  func words(_ family: AddressFamily) -> [String] {
    var words: [String] = []
    if trafficClass != 0 { words.append("tos \(trafficClass)") }
    if flowLabel != 0 { words.append("label \(flowLabel)") }
    if let identification { words.append("id \(identification)") }
    if dontFragment { words.append("df 1") }
    if !options.isEmpty { words.append("ipoptions \(hexText(options))") }
    if !extensions.isEmpty {
      let texts = extensions.map { header in
        "\(header.number)" + (header.body.isEmpty ? "" : ":\(hexText(header.body))")
          + (header.length.map { "!\($0)" } ?? "")
      }
      words.append("headers \(texts.joined(separator: ","))")
    }
    if let source { words.append("src \(source.text(family))") }
    if let destination { words.append("dst \(destination.text(family))") }
    if let piece {
      words.append("piece \(piece.start)-\(piece.end)")
      if let more = piece.more { words.append("more \(more ? 1 : 0)") }
    }
    if !edits.isEmpty {
      let texts = edits.map { "\($0.offset):\(hexText($0.bytes))" }
      words.append("edit \(texts.joined(separator: ","))")
    }
    if let cut { words.append("cut \(cut)") }
    if trailing > 0 { words.append("trail \(trailing)") }
    if hasBadChecksum { words.append("ipchecksum bad") }
    if frame != .unicast { words.append("frame \(frame.rawValue)") }
    if let port { words.append("in \(port.rawValue)") }
    return words
  }

  /// What `words` says, out of all the values of a step. Nil where a value cannot be read.
  init?(_ values: [Substring: Substring], _ family: AddressFamily) {
    self.init()
    func number<Number: FixedWidthInteger>(_ name: Substring) -> Number? {
      values[name].flatMap { Number($0) }
    }
    trafficClass = number("tos") ?? 0
    flowLabel = number("label") ?? 0
    identification = number("id")
    dontFragment = values["df"] == "1"
    options = hexBytes(values["ipoptions"] ?? "")
    for text in values["headers"]?.split(separator: ",") ?? [] {
      let parts = text.split(separator: "!")
      let ends = parts[0].split(separator: ":")
      guard let kind = UInt8(ends[0]) else { return nil }
      extensions.append(
        Extension(
          number: kind, body: ends.count > 1 ? hexBytes(ends[1]) : [],
          length: parts.count > 1 ? UInt8(parts[1]) : nil))
    }
    source = values["src"].flatMap { IPAddress.parse($0, family) }
    destination = values["dst"].flatMap { IPAddress.parse($0, family) }
    if let text = values["piece"] {
      let ends = text.split(separator: "-").compactMap { Int($0) }
      guard ends.count == 2 else { return nil }
      piece = Piece(start: ends[0], end: ends[1], more: values["more"].map { $0 == "1" })
    }
    for text in values["edit"]?.split(separator: ",") ?? [] {
      let parts = text.split(separator: ":")
      guard parts.count == 2, let offset = Int(parts[0]) else { return nil }
      edits.append(Edit(offset: offset, bytes: hexBytes(parts[1])))
    }
    cut = number("cut")
    trailing = number("trail") ?? 0
    hasBadChecksum = values["ipchecksum"] == "bad"
    port = values["in"].flatMap { Port(rawValue: String($0)) }
    frame = values["frame"].flatMap { Frame(rawValue: String($0)) } ?? .unicast
  }
}

func hexBytes(_ hex: Substring) -> [UInt8] {
  let digits = Array(hex)
  return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
    UInt8(String(digits[$0...$0 + 1]), radix: 16)
  }
}
