// What each kind of TCP segment does to a connection's state: one literal table, laid out so that a
// reader finds the answer by looking. Learnt from RFC 9293 and by asking Linux 6.18.

import Wire

/// What a segment is, for the state table: RST counts before SYN, SYN before FIN, FIN before ACK.
enum TCPSegmentKind: UInt8, BitwiseCopyable, CaseIterable {
  case syn
  case synAck
  case fin
  case ack
  case rst
  case none

  @inline(__always)
  init(_ flags: TCPFlags) {
    if flags.contains(.rst) {
      self = .rst
    } else if flags.contains(.syn) {
      self = flags.contains(.ack) ? .synAck : .syn
    } else if flags.contains(.fin) {
      self = .fin
    } else if flags.contains(.ack) {
      self = .ack
    } else {
      self = .none
    }
  }

  /// The flag combinations a real TCP sends; any other segment is invalid. PSH, ECE and CWR say
  /// nothing here.
  @inline(__always)
  static func isPossible(_ flags: TCPFlags) -> Bool {
    switch flags.intersection([.fin, .syn, .rst, .ack, .urg]) {
    case [.syn], [.syn, .urg], [.syn, .ack], [.rst], [.rst, .ack], [.fin, .ack],
      [.fin, .ack, .urg], [.ack], [.ack, .urg]:
      true
    default: false
    }
  }
}

/// What the table says: go to a state, let the segment pass without believing it, or call it invalid.
enum TCPTransition: UInt8, BitwiseCopyable {
  case toSynSent
  case toSynReceived
  case toEstablished
  case toFinWait
  case toCloseWait
  case toLastAck
  case toTimeWait
  case toClose
  case toSynSent2
  /// Either side may be out of step with the other or with us: let it pass, change nothing.
  case ignore
  case invalid

  @inline(__always)
  var state: TCPState? {
    switch self {
    case .toSynSent: .synSent
    case .toSynReceived: .synReceived
    case .toEstablished: .established
    case .toFinWait: .finWait
    case .toCloseWait: .closeWait
    case .toLastAck: .lastAck
    case .toTimeWait: .timeWait
    case .toClose: .close
    case .toSynSent2: .synSent2
    case .ignore, .invalid: nil
    }
  }
}

enum TCPStates {
  private static let ss = TCPTransition.toSynSent
  private static let sr = TCPTransition.toSynReceived
  private static let es = TCPTransition.toEstablished
  private static let fw = TCPTransition.toFinWait
  private static let cw = TCPTransition.toCloseWait
  private static let la = TCPTransition.toLastAck
  private static let tw = TCPTransition.toTimeWait
  private static let cl = TCPTransition.toClose
  private static let s2 = TCPTransition.toSynSent2
  private static let ig = TCPTransition.ignore
  private static let iv = TCPTransition.invalid

  private static let columns = 6

  /// One row a state, one column a kind of segment, first for segments of the original direction.
  private static let original: InlineArray<60, TCPTransition> = [
    // SYN SYN/ACK FIN ACK RST other    in state:
    ss, iv, iv, es, iv, iv,  // NONE: a SYN opens; an ACK is picked up in mid-stream
    ss, iv, iv, iv, cl, iv,  // SYN_SENT: the SYN again; nothing else before the answer
    ig, sr, fw, es, cl, iv,  // SYN_RECV: the ACK completes the handshake
    ig, iv, fw, es, cl, iv,  // ESTABLISHED: a SYN here is another connection's, or a forged one
    ig, iv, la, cw, cl, iv,  // FIN_WAIT: the ACK of the FIN, or the second FIN
    ig, iv, la, cw, cl, iv,  // CLOSE_WAIT: the second FIN
    ig, iv, la, tw, cl, iv,  // LAST_ACK: the ACK of the second FIN
    ss, iv, tw, tw, cl, iv,  // TIME_WAIT: a SYN may open the connection again
    ss, iv, cl, cl, cl, iv,  // CLOSE: the same
    s2, sr, iv, iv, cl, iv,  // SYN_SENT2: simultaneous open, waiting for the SYN/ACK
  ]

  /// The same for segments of the reply direction.
  private static let reply: InlineArray<60, TCPTransition> = [
    // SYN SYN/ACK FIN ACK RST other    in state:
    iv, iv, iv, iv, iv, iv,  // NONE: nothing can be a reply yet
    s2, sr, iv, ig, cl, iv,  // SYN_SENT: SYN/ACK answers, SYN crosses ours, ACK may be a challenge
    iv, ig, fw, sr, cl, iv,  // SYN_RECV: the SYN/ACK again
    iv, ig, fw, es, cl, iv,  // ESTABLISHED
    iv, ig, la, cw, cl, iv,  // FIN_WAIT
    iv, ig, la, cw, cl, iv,  // CLOSE_WAIT
    iv, ig, la, tw, cl, iv,  // LAST_ACK
    ss, ig, tw, tw, cl, iv,  // TIME_WAIT: the server may open one the other way
    iv, ig, cl, cl, cl, iv,  // CLOSE
    s2, sr, iv, ig, cl, iv,  // SYN_SENT2
  ]

  /// - Complexity: O(1): one load.
  @inline(__always)
  static func transition(
    _ direction: Direction, _ state: TCPState, _ segment: TCPSegmentKind
  ) -> TCPTransition {
    let cell = Int(state.rawValue) * columns + Int(segment.rawValue)
    return direction == .original ? original[cell] : reply[cell]
  }
}
