// Fuzz target (e): any bytes as what a client of the control socket sends and as a file of conntrack's
// commands. What is read must come out as it went in.

import Conntrack
import ConntrackFormat
import TableControl

extension FuzzTarget {
  static func runControl(_ bytes: [UInt8]) -> UInt64 {
    var digest = frames(bytes)
    do {
      let lines = try ConntrackCommandLine.lines(
        of: String(decoding: bytes, as: UTF8.self),
        labelNames: LabelNames(configuration: "1 one\n5 five\n"))
      digest = digest &* 31 &+ UInt64(lines.count)
    } catch {
      digest = digest &* 31 &+ UInt64("\(error)".utf8.count)
    }
    return digest
  }

  private static func frames(_ bytes: [UInt8]) -> UInt64 {
    var digest: UInt64 = 0
    var reader = ControlFrameReader(longest: ControlFrame.longestRequest)
    // As a stream brings them: in two parts.
    reader.append(bytes.prefix(bytes.count / 2))
    do {
      while let frame = try reader.next() { digest = digest &* 31 &+ (try decode(frame)) }
      reader.append(bytes.dropFirst(bytes.count / 2))
      while let frame = try reader.next() { digest = digest &* 31 &+ (try decode(frame)) }
    } catch {
      digest = digest &* 31 &+ UInt64("\(error)".utf8.count)
    }
    return digest
  }

  private static func decode(_ frame: ControlFrame) throws(DecodingFailure) -> UInt64 {
    var reader = ByteReader(frame.body[...])
    switch frame.kind {
    case .list:
      let request = try reader.listRequest()
      var again = ByteWriter()
      again.put(request)
      var second = ByteReader(again.bytes[...])
      if try second.listRequest() != request { fatalError("another request") }
    case .get, .create, .update:
      let request = try reader.connectionRequest()
      var again = ByteWriter()
      again.put(request)
      var second = ByteReader(again.bytes[...])
      if try second.connectionRequest() != request { fatalError("another request") }
    case .delete, .connections:
      let connection = try reader.connection()
      var again = ByteWriter()
      again.put(connection)
      var second = ByteReader(again.bytes[...])
      if try second.connection() != connection { fatalError("another connection") }
    case .event:
      let event = try reader.connectionEvent()
      var text: [UInt8] = []
      ConnectionWriter().append(event, to: &text)
      JSONWriter().append(event, to: &text)
      return UInt64(text.count)
    case .expectations, .expectationEvent: _ = try reader.expectation()
    case .getExpectation, .createExpectation, .deleteExpectation:
      let request = try reader.expectationRequest()
      var again = ByteWriter()
      again.put(request)
      var second = ByteReader(again.bytes[...])
      if try second.expectationRequest() != request { fatalError("another request") }
    case .iptables:
      let request = try reader.iptablesRequest()
      var again = ByteWriter()
      again.put(request)
      var second = ByteReader(again.bytes[...])
      if try second.iptablesRequest() != request { fatalError("another request") }
    case .follow: _ = try reader.followRequest()
    case .surroundingsAnswer:
      let surroundings = try reader.surroundings()
      var again = ByteWriter()
      again.put(surroundings)
      var second = ByteReader(again.bytes[...])
      if try second.surroundings() != surroundings { fatalError("other surroundings") }
    case .activityAnswer:
      let activity = try reader.activity()
      var again = ByteWriter()
      again.put(activity)
      var second = ByteReader(again.bytes[...])
      if try second.activity() != activity { fatalError("another activity") }
    case .processors: _ = try reader.statistics()
    case .refused: return UInt64(try frame.refusal().text.utf8.count)
    default: break
    }
    return UInt64(frame.kind.rawValue)
  }
}
