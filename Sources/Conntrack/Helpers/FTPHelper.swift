// FTP (RFC 959, RFC 2428): where the data connection will come from and go to, read from PORT, EPRT
// and the answers to PASV and EPSV. Only what begins a line is read, so the helper keeps where lines
// end; a command that is there in part cannot be let through, for the rest would not be read.

import Wire

/// Where lines ended last, in the sequence numbers of each side, as sent.
struct FTPLines: BitwiseCopyable {
  private var original: (UInt32, UInt32) = (0, 0)
  private var reply: (UInt32, UInt32) = (0, 0)
  /// How many of each pair are known, 0 to 2.
  private var counts: (UInt8, UInt8) = (0, 0)

  func contains(_ sequence: UInt32, _ direction: Direction) -> Bool {
    let ends = direction == .original ? original : reply
    let count = direction == .original ? counts.0 : counts.1
    return count > 0 && ends.0 == sequence || count > 1 && ends.1 == sequence
  }

  /// Remembers an end; of three the earliest is forgotten.
  mutating func add(_ sequence: UInt32, _ direction: Direction) {
    if contains(sequence, direction) { return }
    var ends = direction == .original ? original : reply
    var count = direction == .original ? counts.0 : counts.1
    if count < 2 {
      if count == 0 { ends.0 = sequence } else { ends.1 = sequence }
      count += 1
    } else {
      let isFirstOlder = ends.0.isBefore(ends.1)
      let older = isFirstOlder ? ends.0 : ends.1
      guard sequence.isAfter(older) else { return }
      if isFirstOlder { ends.0 = sequence } else { ends.1 = sequence }
    }
    if direction == .original {
      (original, counts.0) = (ends, count)
    } else {
      (reply, counts.1) = (ends, count)
    }
  }

  /// All of it as numbers, and back, for whoever keeps it.
  var numbers: InlineArray<6, UInt32> {
    get { [original.0, original.1, reply.0, reply.1, UInt32(counts.0), UInt32(counts.1)] }
    set {
      original = (newValue[0], newValue[1])
      reply = (newValue[2], newValue[3])
      counts = (UInt8(min(newValue[4], 2)), UInt8(min(newValue[5], 2)))
    }
  }
}

/// What stands at the beginning of a line.
enum FTPCommand {
  case none
  /// An announcement that cannot be read to its end.
  case unreadable
  case announces(FTPAnnouncement)
}

struct FTPAnnouncement {
  /// Nil where only a port is named: the sender's own address.
  var address: IPAddress?
  var port: UInt16
  var form: AnnouncementForm
  /// From the first byte of the payload.
  var offset: Int
  var length: Int
}

enum FTPHelper {
  /// Reads what the line that begins at `start` announces.
  static func read(
    _ bytes: RawSpan, from start: Int, to end: Int, _ direction: Direction,
    _ family: AddressFamily
  ) -> FTPCommand {
    if direction == .original {
      switch FTPReader.begins(bytes, start, end, with: "PORT") {
      case .no: break
      case .inPart: return .unreadable
      case .yes: return port(bytes, start, end)
      }
      switch FTPReader.begins(bytes, start, end, with: "EPRT") {
      case .no: return .none
      case .inPart: return .unreadable
      case .yes: return extendedPort(bytes, start, end, family)
      }
    }
    switch FTPReader.begins(bytes, start, end, with: "227 ") {
    case .no: break
    case .inPart: return .unreadable
    case .yes: return passive(bytes, start, end)
    }
    switch FTPReader.begins(bytes, start, end, with: "229 ") {
    case .no: return .none
    case .inPart: return .unreadable
    case .yes: return extendedPassive(bytes, start, end)
    }
  }

  /// `PORT 10,0,1,2,4,1\r`
  private static func port(_ bytes: RawSpan, _ start: Int, _ end: Int) -> FTPCommand {
    var reader = FTPReader(bytes, at: start + 4, end: end)
    guard reader.take(UInt8(ascii: " ")) else { return .unreadable }
    return numbers(&reader, start, mustEndIn: UInt8(ascii: "\r"))
  }

  /// `227 Entering Passive Mode (10,0,1,2,4,1).`: six numbers, from the first digit on.
  private static func passive(_ bytes: RawSpan, _ start: Int, _ end: Int) -> FTPCommand {
    var reader = FTPReader(bytes, at: start + 4, end: end)
    while let byte = reader.next, !byte.isDigit { reader.at += 1 }
    return numbers(&reader, start, mustEndIn: nil)
  }

  private static func numbers(
    _ reader: inout FTPReader, _ start: Int, mustEndIn terminator: UInt8?
  ) -> FTPCommand {
    let first = reader.at
    var numbers: InlineArray<6, UInt32> = InlineArray(repeating: 0)
    for index in 0..<6 {
      numbers[index] = reader.number()
      guard let byte = reader.next else { return .unreadable }
      if index < 5 {
        guard reader.take(UInt8(ascii: ",")) else { return .unreadable }
      } else if let terminator {
        if byte != terminator { return .unreadable }
      } else if byte == UInt8(ascii: ",") {
        return .unreadable
      }
    }
    let address = numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]
    return .announces(
      FTPAnnouncement(
        address: IPAddress(ipv4: address),
        port: UInt16(truncatingIfNeeded: numbers[4] << 8 | numbers[5]), form: .ftpNumbers,
        offset: first - start, length: reader.at - first))
  }

  /// `EPRT |1|10.0.1.2|1025|`
  private static func extendedPort(
    _ bytes: RawSpan, _ start: Int, _ end: Int, _ family: AddressFamily
  ) -> FTPCommand {
    var reader = FTPReader(bytes, at: start + 4, end: end)
    guard reader.take(UInt8(ascii: " ")) else { return .unreadable }
    let first = reader.at
    guard let delimiter = reader.delimiter(),
      reader.take(UInt8(ascii: family == .ipv4 ? "1" : "2")), reader.take(delimiter)
    else { return .unreadable }
    let address: IPAddress
    if family == .ipv4 {
      var value: UInt32 = 0
      for index in 0..<4 {
        value |= reader.number() << UInt32(24 - 8 * index)
        if index < 3 {
          guard reader.take(UInt8(ascii: ".")) else { return .unreadable }
        }
      }
      guard delimiter != UInt8(ascii: ".") else { return .unreadable }
      address = IPAddress(ipv4: value)
    } else {
      guard let read = reader.ipv6(until: delimiter) else { return .unreadable }
      address = read
      // A zero byte ends the address as well as the delimiter does.
      if reader.next == 0 { reader.at += 1 } else if !reader.take(delimiter) { return .unreadable }
    }
    if family == .ipv4 && !reader.take(delimiter) { return .unreadable }
    guard let port = reader.port(until: delimiter) else {
      return .unreadable
    }
    return .announces(
      FTPAnnouncement(
        address: address, port: port, form: .ftpExtended, offset: first - start,
        length: reader.at - first))
  }

  /// `229 Entering Extended Passive Mode (|||1025|)`
  private static func extendedPassive(
    _ bytes: RawSpan, _ start: Int, _ end: Int
  ) -> FTPCommand {
    var reader = FTPReader(bytes, at: start + 4, end: end)
    while let byte = reader.next, byte != UInt8(ascii: "(") { reader.at += 1 }
    guard reader.take(UInt8(ascii: "(")) else { return .unreadable }
    let first = reader.at
    guard let delimiter = reader.delimiter(), reader.take(delimiter), reader.take(delimiter),
      let port = reader.port(until: delimiter)
    else { return .unreadable }
    return .announces(
      FTPAnnouncement(
        address: nil, port: port, form: .ftpExtendedPort, offset: first - start,
        length: reader.at - first))
  }
}

/// A place in the bytes of one line. Numbers are read as a machine of 32 bits reads them: what is too
/// large loses its upper bits.
struct FTPReader: ~Escapable {
  private let bytes: RawSpan
  var at: Int
  private let end: Int

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, at: Int, end: Int) {
    self.bytes = bytes
    self.at = at
    self.end = end
  }

  enum Beginning {
    case no
    /// The payload ends before the word does.
    case inPart
    case yes
  }

  /// Whether the payload begins with `word`, in capitals or not.
  static func begins(
    _ bytes: RawSpan, _ start: Int, _ end: Int, with word: StaticString
  ) -> Beginning {
    let wanted = word.utf8CodeUnitCount
    let available = min(end - start, wanted)
    for index in 0..<available {
      // The words are four bytes, in bounds by `available`.
      let letter = unsafe word.utf8Start[index]
      if bytes.uint8(at: start + index).uppercased != letter { return .no }
    }
    return available == wanted ? .yes : .inPart
  }

  var next: UInt8? { at < end ? bytes.uint8(at: at) : nil }

  mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    at += 1
    return true
  }

  /// Digits; none are 0.
  mutating func number() -> UInt32 {
    var value: UInt32 = 0
    while let byte = next, byte.isDigit {
      value = value &* 10 &+ UInt32(byte - UInt8(ascii: "0"))
      at += 1
    }
    return value
  }

  /// What separates the parts of an extended form: any printing character but a digit.
  mutating func delimiter() -> UInt8? {
    guard let byte = next, (33...126).contains(byte), !byte.isDigit else { return nil }
    at += 1
    return byte
  }

  /// A port and the delimiter behind it; 0 is none.
  mutating func port(until delimiter: UInt8) -> UInt16? {
    let port = UInt16(truncatingIfNeeded: number())
    return take(delimiter) && port != 0 ? port : nil
  }

  /// An IPv6 address that reaches up to `delimiter` or a zero byte, which stays.
  mutating func ipv6(until delimiter: UInt8) -> IPAddress? {
    let colon = UInt8(ascii: ":")
    var groups: InlineArray<8, UInt16> = InlineArray(repeating: 0)
    var count = 0
    /// Where `::` stands, in groups.
    var gap: Int?
    func isEnd(_ byte: UInt8?) -> Bool { byte == delimiter || byte == 0 }

    if next == colon {
      at += 1
      guard take(colon) else { return nil }
      gap = 0
    }
    while !isEnd(next) {
      guard count < 8, next?.hexadecimal != nil else { return nil }
      let start = at
      guard let group = group(until: delimiter) else { return nil }
      if next == UInt8(ascii: ".") && !isEnd(next) {
        // The last 32 bits as an IPv4 address.
        at = start
        guard count <= 6, let tail = ipv4Tail() else { return nil }
        groups[count] = UInt16(tail >> 16)
        groups[count + 1] = UInt16(truncatingIfNeeded: tail)
        count += 2
        break
      }
      groups[count] = group
      count += 1
      if isEnd(next) { break }
      guard take(colon) else { return nil }
      if next == colon && delimiter != colon {
        guard gap == nil else { return nil }
        gap = count
        at += 1
      } else if isEnd(next) {
        return nil
      }
    }
    guard isEnd(next), gap == nil ? count == 8 : count < 8 else { return nil }
    return FTPReader.address(groups, count, gap: gap ?? count)
  }

  /// Hexadecimal digits of one group, any number of zeros before them.
  private mutating func group(until delimiter: UInt8) -> UInt16? {
    var value: UInt32 = 0
    while let byte = next, byte != delimiter, let digit = byte.hexadecimal {
      value = value << 4 | UInt32(digit)
      guard value <= 0xffff else { return nil }
      at += 1
    }
    return UInt16(value)
  }

  /// The address of `count` groups, with zeros from group `gap` on up to eight.
  private static func address(
    _ groups: InlineArray<8, UInt16>, _ count: Int, gap: Int
  ) -> IPAddress {
    var value = IPAddress.any
    for index in 0..<count {
      let place = index < gap ? index : index + 8 - count
      let shift = UInt64(48 - 16 * (place & 3))
      if place < 4 {
        value.high |= UInt64(groups[index]) << shift
      } else {
        value.low |= UInt64(groups[index]) << shift
      }
    }
    return value
  }

  private mutating func ipv4Tail() -> UInt32? {
    var value: UInt32 = 0
    for index in 0..<4 {
      guard let byte = next, byte.isDigit else { return nil }
      let part = number()
      guard part <= 255 else { return nil }
      value = value << 8 | part
      if index < 3 {
        guard take(UInt8(ascii: ".")) else { return nil }
      }
    }
    return value
  }
}

extension UInt8 {
  var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

  /// An ASCII letter as its capital.
  var uppercased: UInt8 {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self) ? self - 32 : self
  }

  var hexadecimal: UInt8? {
    if isDigit { return self - UInt8(ascii: "0") }
    let letter = uppercased
    guard (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(letter) else { return nil }
    return letter - UInt8(ascii: "A") + 10
  }
}
