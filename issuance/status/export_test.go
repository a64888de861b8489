package status

// UnpackBitstring and UnpackList read entries without what surrounds them.
func UnpackBitstring(encoded string) (List, error) {
	e, err := unpackBitstring(encoded)
	return List{entries: e}, err
}

// UnpackList is for the vectors of Token Status List.
func UnpackList(bits int, lst string) (List, error) {
	e, err := unpackList(bits, lst)
	return List{entries: e}, err
}

// Packed returns both encodings of an array.
func (a *Array) Packed(v Value) (bitstring, list string, err error) {
	if bitstring, err = a.bitstring(v); err != nil {
		return "", "", err
	}
	list, err = a.list()
	return bitstring, list, err
}
