package comm

import "context"

// startCall has a call handled beside all else: it may wait for messages, so it must not hold them up.
func (c *Client) startCall(ctx context.Context, carrier Carrier, f *Frame) {
	if c.calls.Enter(c.opts.calls) != nil {
		c.refuseCall(ctx, carrier, f, &LimitError{Limit: "calls handled at once", Max: c.opts.calls})
		return
	}
	goIn(&c.helping, func() {
		defer c.calls.Leave()
		c.handleCall(ctx, carrier, f)
	})
}

// handleCall answers a call.
func (c *Client) handleCall(ctx context.Context, carrier Carrier, f *Frame) {
	h := c.find(f.Message.typ)
	if h == nil {
		_ = carrier.Send(ctx, errorFrame(f.ID, CodeUnknownType, "no handler for "+shorten(f.Message.typ)))
		return
	}
	ctx = traceContext(ctx, f.Message)
	reply, err := h(ctx, f.Message)
	if err != nil {
		c.refuseCall(ctx, carrier, f, err)
		return
	}
	if reply == nil {
		reply = &Message{content: []byte("null")}
	}
	_ = carrier.Send(ctx, &Frame{Op: OpReply, ID: f.ID, Message: stampTrace(ctx, reply)})
}

// refuseCall answers a call that failed, or was not begun.
func (c *Client) refuseCall(ctx context.Context, carrier Carrier, f *Frame, err error) {
	c.opts.log.Warn("client call failed", "type", f.Message.typ, "id", f.ID, "error", err)
	code, text := codeOf(err)
	_ = carrier.Send(ctx, errorFrame(f.ID, code, text))
}
